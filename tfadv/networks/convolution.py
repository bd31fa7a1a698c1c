"""Convolutions: dilated by the operation that TensorFlow has for it, or with coarse gradients."""

from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import tensorflow as tf
from absl import logging
from keras import layers


@keras.saving.register_keras_serializable("tfadv")
class Conv2D(layers.Conv2D):
    """Keras' layer, which cuts what it dilates into many small images and puts them together.

    Args:
        gradient_dtype: in which both gradients are computed, where that is not the layer's own. In
            bfloat16 they take less time, two thirds of a step's work, and a layer in float32 stays
            exact where it matters: the signs of activations and what pooling picks are decided in
            the pass forward. Rounding errors of gradients average out.
    """

    def __init__(self, *args: Any, gradient_dtype: str | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gradient_dtype = gradient_dtype

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        how = {
            "strides": [1, *self.strides, 1],
            "padding": self.padding.upper(),
            "dilations": [1, *self.dilation_rate, 1],
        }
        if self.gradient_dtype:
            differentiable = _with_gradients_in(self.gradient_dtype, how)
            return differentiable(inputs, tf.convert_to_tensor(kernel))
        dtype = tf.as_dtype(self.compute_dtype)
        if max(self.dilation_rate) == 1 or not dilated_gradient_exists(dtype):
            return super().convolution_op(inputs, kernel)
        return tf.nn.conv2d(inputs, kernel, **how)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"gradient_dtype": self.gradient_dtype}


def _with_gradients_in(
    dtype: str, how: dict[str, Any]
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Makes a convolution.

    Args:
        how: strides, padding and dilations.
    """

    @tf.custom_gradient
    def convolution(
        x: tf.Tensor, kernel: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        def gradients(above: tf.Tensor) -> list[tf.Tensor]:
            few_x, few_kernel, above = (tf.cast(tensor, dtype) for tensor in (x, kernel, above))
            of_x = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(x), filter=few_kernel, out_backprop=above, **how
            )
            of_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=few_x, filter_sizes=kernel.shape, out_backprop=above, **how
            )
            return [tf.cast(gradient, x.dtype) for gradient in (of_x, of_kernel)]

        return tf.nn.conv2d(x, kernel, **how), gradients

    return convolution


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
