"""From sources to a record set. Never imports TensorFlow."""
