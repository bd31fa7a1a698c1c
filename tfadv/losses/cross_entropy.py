"""Cross entropy over voxels."""

import tensorflow as tf

from tfadv.losses.annotated import annotated_mean


def cross_entropy(
    labels: tf.Tensor, logits: tf.Tensor, annotated: tf.Tensor | None = None
) -> tf.Tensor:
    """Multi-class cross entropy, the mean over all voxels and samples (Kohl 2017, eq. 2).

    Args:
        labels: integer class indices [B, ...].
        logits: [B, ..., C].
        annotated: [B, ...], 0 at voxels that count nothing; None where all count.

    Returns:
        float32 scalar in [0, inf); log C where all classes are equally likely.
    """
    return annotated_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), logits), annotated
    )
