"""NIfTI -> subjects -> views -> sharded TFRecords -> tf.data. Knows nothing of tfadv.

Preprocessing (everything but the room `reading`) never imports
TensorFlow: the import alone takes seconds and hundreds of megabytes in every worker process.
"""
