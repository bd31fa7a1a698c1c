"""Voxels that nobody annotated: they weigh nothing in a mean, and nobody is shown a map of them.

`annotated` is [B, ...], 0 there and 1 elsewhere, or None where a record set has no such voxels:
then nothing is computed.
"""

from collections.abc import Sequence

import tensorflow as tf


def annotated_mean(
    values: tf.Tensor, annotated: tf.Tensor | None, axes: Sequence[int] | None = None
) -> tf.Tensor:
    """The mean over annotated voxels; 0 where there are none.

    Args:
        values: finite, [B, ...].
        annotated: of the same shape.
        axes: of the mean; all if not given.
    """
    if annotated is None:
        return tf.reduce_mean(values, axes)
    weights = tf.cast(annotated, values.dtype)
    total = tf.reduce_sum(values * weights, axes)
    return tf.math.divide_no_nan(total, tf.reduce_sum(weights, axes))


def shown(maps: tf.Tensor, annotated: tf.Tensor | None) -> tf.Tensor:
    """Maps [B, ..., K] that are zero where nobody annotated [B, ...].

    True and generated maps are alike there: a judge learns nothing from it, and tells the segmentor
    nothing about it.
    """
    if annotated is None:
        return maps
    return maps * tf.cast(annotated, maps.dtype)[..., None]
