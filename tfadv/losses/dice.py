"""Soft Dice over voxels."""

import tensorflow as tf

from tfadv.losses.annotated import shown

SMOOTHING = 1.0  # Keeps empty regions from dividing by zero (Peiris 2021, eq. 3).


def dice_loss(
    probabilities: tf.Tensor, truth: tf.Tensor, annotated: tf.Tensor | None = None
) -> tf.Tensor:
    """1 - (2 <p, y> + 1) / (|p| + |y| + 1), the mean over samples and regions.

    Args:
        probabilities: [B, ..., R] in [0, 1].
        truth: masks of the same shape.
        annotated: [B, ...], 0 at voxels that count nothing; None where all count.

    Returns:
        float32 scalar in [0, 1); 0 where both are equal masks.
    """
    axes = list(range(1, len(probabilities.shape) - 1))
    truth = shown(tf.cast(truth, probabilities.dtype), annotated)
    probabilities = shown(probabilities, annotated)
    overlap = tf.reduce_sum(probabilities * truth, axes)
    total = tf.reduce_sum(probabilities, axes) + tf.reduce_sum(truth, axes)
    return tf.reduce_mean(1 - (2 * overlap + SMOOTHING) / (total + SMOOTHING))
