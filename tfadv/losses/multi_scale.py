"""The multi-scale L1 loss of Xue et al. 2018 (SegAN)."""

from collections.abc import Sequence

import tensorflow as tf


def scale_distances(predicted: Sequence[tf.Tensor], true: Sequence[tf.Tensor]) -> tf.Tensor:
    """The mean absolute error at each scale, of each sample: eq. 3 is the mean of all.

    Args:
        predicted: features of the image masked by the predicted map, one [B, h, w, k] per scale;
            the first is the masked image itself.
        true: the same of the image masked by the true map.

    Returns:
        float32 [scales, B] in [0, inf).
    """
    return tf.stack(
        [
            tf.reduce_mean(tf.abs(p - t), axis=list(range(1, len(p.shape))))
            for p, t in zip(predicted, true, strict=True)
        ]
    )
