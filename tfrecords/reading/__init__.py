"""From a record set to tf.data. Alone in tfrecords, this room imports TensorFlow."""
