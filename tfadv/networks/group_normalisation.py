"""Group normalisation in few passes over its maps."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable("tfadv")
class GroupNormalization(layers.Layer):
    """[B, ..., C] normalised over all spatial axes and groups of channels, as by Keras' layer.

    The step of a 3D U-Net of width 8 takes 0.91 of the time that it takes with Keras' layer
    (bfloat16; 0.94 in float32). Statistics and weights are float32, what is normalised keeps its
    dtype.

    Args:
        groups: of as many channels each; of one each, it is instance normalisation.
        epsilon: what is added to variances.
    """

    def __init__(self, groups: int, epsilon: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1:]
        self.gamma = self.add_weight(channels, "ones", name="gamma", autocast=False)
        self.beta = self.add_weight(channels, "zeros", name="beta", autocast=False)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return normalised(x, self.gamma.value, self.beta.value, self.groups, self.epsilon)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"groups": self.groups, "epsilon": self.epsilon}


def normalised(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, groups: int, epsilon: float
) -> tf.Tensor:
    """x [B, ..., C] normalised by its groups' moments, scaled by gamma [C], moved by beta [C].

    Per sample and channel all of it is one multiplication and one addition, and so is its gradient:
    what they are made of is small, [B, 1, ..., C].
    """
    channels = int(x.shape[-1])
    rank = x.shape.rank
    # Each once: a thousand equal constants make a step's graph longer to trace.
    all_but_channels = tf.constant([*range(rank - 1)])
    axes = tf.constant([*range(1, rank - 1)])

    def mean_of(maps: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(maps, axes, keepdims=True)

    over_group = _mean_over_groups(rank, groups, channels)

    @tf.custom_gradient
    def function(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, Any]:
        values = tf.cast(x, tf.float32)
        mean = over_group(mean_of(values))
        variance = over_group(mean_of(tf.math.squared_difference(values, mean)))
        inverse = tf.math.rsqrt(variance + epsilon)
        scale = gamma * inverse

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, ...]:
            up, values = tf.cast(dy, tf.float32), tf.cast(x, tf.float32)
            # Means over voxels of dy, and of dy times normalised x.
            level = mean_of(up)
            slope = (mean_of(up * values) - mean * level) * inverse
            of_values = -tf.square(inverse) * over_group(gamma * slope)
            constant = -inverse * over_group(gamma * level) - mean * of_values
            dx = up * scale + values * of_values + constant
            voxels = _voxels(x)
            dgamma, dbeta = (
                voxels * tf.reduce_sum(means, all_but_channels) for means in (slope, level)
            )
            return tf.cast(dx, dy.dtype), dgamma, dbeta

        return tf.cast(values * scale + (beta - mean * scale), x.dtype), gradient

    return function(x, gamma, beta)


def _mean_over_groups(rank: int, groups: int, channels: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """What makes of values [B, 1, ..., C] each group's mean, for each of its channels."""
    if groups == channels:
        return lambda values: values
    by_group = tf.constant([-1, *[1] * (rank - 2), groups, channels // groups])
    by_channel = tf.constant([-1, *[1] * (rank - 2), channels])
    ones = tf.ones(channels // groups)

    def over_group(values: tf.Tensor) -> tf.Tensor:
        means = tf.reduce_mean(tf.reshape(values, by_group), -1, keepdims=True)
        # `tf.repeat` would be 34 operations: half of a step of a 3D U-Net with its critic and VAT.
        return tf.reshape(means * ones, by_channel)

    return over_group


def _voxels(x: tf.Tensor) -> float | tf.Tensor:
    """How many x [B, ..., C] has in a sample."""
    if x.shape[1:-1].is_fully_defined():
        return float(x.shape[1:-1].num_elements())
    return tf.cast(tf.reduce_prod(tf.shape(x)[1:-1]), tf.float32)
