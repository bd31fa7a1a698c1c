"""Normalisation in TensorFlow: the input pipeline and the exported model run these functions.

Voxels that are zero in the source are background: they stay zero and count in no statistic, so that
padding with zeros is padding with background.
"""

import tensorflow as tf

from tfrecords.records.intensities import HALF_LIMIT, STATISTICS

SCHEMES = ("z_score", "min_max", "percentile_min_max")


def normalise(image: tf.Tensor, statistics: tf.Tensor, scheme: str) -> tf.Tensor:
    """Intensities on a common scale, invariant to the source's gain.

    Args:
        image: [..., C], any type.
        statistics: float32 [C, len(STATISTICS)].
        scheme: "z_score"; "min_max", or "percentile_min_max" which clips to the percentiles 1 and
            99 first: both to [0, 1].

    Returns:
        float32 [..., C].
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme: expected one of {SCHEMES}. Received: scheme={scheme}")
    image = tf.cast(image, tf.float32)
    mean, std, minimum, maximum, low, high = (
        statistics[:, index] for index in range(len(STATISTICS))
    )
    if scheme == "z_score":
        scaled = tf.math.divide_no_nan(image - mean, std)
    else:
        if scheme == "percentile_min_max":
            minimum, maximum = low, high
        scaled = tf.math.divide_no_nan(image - minimum, maximum - minimum)
        scaled = tf.clip_by_value(scaled, 0.0, 1.0)
    return tf.where(image != 0, scaled, 0.0)


def as_stored(volume: tf.Tensor, image_dtype: str) -> tf.Tensor:
    """A raw volume with the values that a record set would hold of it; see `intensities.halve`.

    Args:
        volume: float32, raw intensities.
        image_dtype: of the manifest. Integers are stored as they are.

    Returns:
        float32, same shape.
    """
    if image_dtype != "float16":
        return volume
    largest = tf.reduce_max(tf.abs(volume))
    # Doubling and halving are exact, a logarithm is not: at a power of two it could round up.
    (factor,) = tf.while_loop(
        lambda factor: largest > factor * HALF_LIMIT, lambda factor: [factor * 2.0], [1.0]
    )
    (factor,) = tf.while_loop(
        lambda factor: (largest > 0.0) & (largest <= factor * HALF_LIMIT / 2),
        lambda factor: [factor / 2.0],
        [factor],
    )
    return tf.cast(tf.cast(volume / factor, tf.float16), tf.float32)


def foreground_statistics(image: tf.Tensor) -> tf.Tensor:
    """`intensities.foreground_statistics` in TensorFlow.

    Args:
        image: float32 [..., C], C known.

    Returns:
        float32 [C, len(STATISTICS)].
    """
    return tf.stack([_modality_statistics(image[..., c]) for c in range(image.shape[-1])])


def _modality_statistics(image: tf.Tensor) -> tf.Tensor:
    values = tf.cast(tf.boolean_mask(image, image != 0), tf.float64)
    values = tf.cond(tf.size(values) > 0, lambda: values, lambda: tf.zeros([1], tf.float64))
    ordered = tf.sort(values)
    numbers = [
        tf.reduce_mean(values),
        tf.math.reduce_std(values),
        ordered[0],
        ordered[-1],
        _percentile(ordered, 0.01),
        _percentile(ordered, 0.99),
    ]
    return tf.cast(tf.stack(numbers), tf.float32)


def _percentile(ordered: tf.Tensor, fraction: float) -> tf.Tensor:
    """By linear interpolation, as NumPy does."""
    rank = fraction * tf.cast(tf.size(ordered) - 1, tf.float64)
    below = tf.cast(tf.floor(rank), tf.int32)
    above = tf.minimum(below + 1, tf.size(ordered) - 1)
    weight = rank - tf.floor(rank)
    return ordered[below] * (1 - weight) + ordered[above] * weight
