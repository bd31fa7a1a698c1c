"""Dilated convolutions by the operation that TensorFlow has for them."""

from functools import cache

import keras
import tensorflow as tf
from absl import logging
from keras import layers


@keras.saving.register_keras_serializable("tfadv")
class Conv2D(layers.Conv2D):
    """Keras' layer, which cuts what it dilates into many small images and puts them together."""

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        dtype = tf.as_dtype(self.compute_dtype)
        if max(self.dilation_rate) == 1 or not dilated_gradient_exists(dtype):
            return super().convolution_op(inputs, kernel)
        padding = self.padding.upper()
        return tf.nn.conv2d(inputs, kernel, self.strides, padding, dilations=self.dilation_rate)


@cache
def dilated_gradient_exists(dtype: tf.DType) -> bool:
    """Whether this machine can differentiate dilated convolutions, on the device that is taken.

    On CPUs oneDNN can, which TensorFlow uses on those with instructions for networks, in float16 on
    few of them; where it cannot, TensorFlow logs this trial of it as well.
    """
    with tf.init_scope():
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=[1, 3, 3, 1],
                filter=tf.ones([2, 2, 1, 1], dtype),
                out_backprop=tf.ones([1, 1, 1, 1], dtype),
                strides=[1] * 4,
                padding="VALID",
                dilations=[1, 2, 2, 1],
            )
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            logging.warning(
                "TensorFlow does not use oneDNN here for %s (a CPU without AVX-512 VNNI or the "
                "like, for float16 without AVX-512 FP16, or TF_ENABLE_ONEDNN_OPTS=0): dilated "
                "convolutions take Keras' way, which is slower",
                dtype.name,
            )
            return False
    return True
