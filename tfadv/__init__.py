"""Adversarial training of medical image segmentation in TensorFlow and Keras."""
