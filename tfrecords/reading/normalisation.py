"""Normalisation in TensorFlow: the input pipeline and the exported model run these functions.

Voxels that are zero in the source are background: they stay zero and count in no statistic, so that
padding with zeros is padding with background.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfrecords.reading.statistics import Two, extremes, moments, percentiles
from tfrecords.records.intensities import HALF_LIMIT, STATISTICS


class Scheme(NamedTuple):
    """The two statistics that a scheme takes: their names in records, and how they are computed."""

    names: tuple[str, str]
    of_values: Callable[[tf.Tensor], Two]


SCHEMES = {
    "z_score": Scheme(("mean", "std"), moments),
    "min_max": Scheme(("minimum", "maximum"), extremes),
    "percentile_min_max": Scheme(("percentile_1", "percentile_99"), percentiles),
}


def normalise(image: tf.Tensor, statistics: tf.Tensor, scheme: str) -> tf.Tensor:
    """Intensities on a common scale, invariant to the source's gain.

    Args:
        image: [..., C], any type.
        statistics: float32 [C, 2], the scheme's.
        scheme: "z_score"; "min_max", or "percentile_min_max" which clips to the percentiles 1 and
            99 first: both to [0, 1].

    Returns:
        float32 [..., C].
    """
    image = tf.cast(image, tf.float32)
    first, second = statistics[:, 0], statistics[:, 1]
    if scheme == "z_score":
        scaled = tf.math.divide_no_nan(image - first, second)
    else:
        scaled = tf.math.divide_no_nan(image - first, second - first)
        scaled = tf.clip_by_value(scaled, 0.0, 1.0)
    # Half the time of tf.where.
    return scaled * tf.cast(image != 0, tf.float32)


def stored_statistics(stored: tf.Tensor, scheme: str) -> tf.Tensor:
    """Of the statistics in a record, [C, len(STATISTICS)], the scheme's [C, 2]."""
    return tf.stack([stored[:, STATISTICS.index(name)] for name in _of(scheme).names], axis=1)


def foreground_statistics(image: tf.Tensor, scheme: str) -> tf.Tensor:
    """The scheme's, as `intensities.foreground_statistics` has them.

    Args:
        image: float32 [..., C], C known.

    Returns:
        float32 [C, 2].
    """
    modalities = [tf.reshape(image[..., c], [-1]) for c in range(image.shape[-1])]
    return tf.cast([_of(scheme).of_values(values) for values in modalities], tf.float32)


def _of(scheme: str) -> Scheme:
    if scheme not in SCHEMES:
        raise ValueError(f"scheme: expected one of {tuple(SCHEMES)}. Received: scheme={scheme}")
    return SCHEMES[scheme]


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
