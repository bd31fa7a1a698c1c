"""Statistics of a modality's non-zero voxels in the graph, each as `records.intensities` has it.

All functions take values float32 [N] and give two scalars, zeros where all values are zero.
"""

import tensorflow as tf

Two = tuple[tf.Tensor, tf.Tensor]
# Percentiles are sought in tails of about this share, told by a sample of at least so many voxels.
TAIL = 0.015
SAMPLE = 2**14


def moments(values: tf.Tensor) -> Two:
    """Mean and standard deviation, float64."""
    count = tf.cast(_count(values != 0), tf.float64)
    precise = tf.cast(values, tf.float64)
    mean = tf.math.divide_no_nan(tf.reduce_sum(precise), count)
    squares = tf.square(precise - mean) * tf.cast(values != 0, tf.float64)
    return mean, tf.sqrt(tf.math.divide_no_nan(tf.reduce_sum(squares), count))


def extremes(values: tf.Tensor) -> Two:
    """Minimum and maximum, float32."""
    inside = values != 0
    lowest = tf.reduce_min(tf.where(inside, values, values.dtype.max))
    highest = tf.reduce_max(tf.where(inside, values, values.dtype.min))
    filled = tf.reduce_any(inside)
    return tf.where(filled, lowest, 0.0), tf.where(filled, highest, 0.0)


def percentiles(values: tf.Tensor) -> Two:
    """Percentiles 1 and 99, float64, by linear interpolation as NumPy does.

    To sort all voxels takes longer than many a network. So a sample tells where the tails are that
    should hold the percentiles, and they alone are sorted, unless they do not hold them.
    """
    inside = values != 0
    count = _count(inside)
    last = tf.maximum(count - 1, 0)
    low_rank, high_rank = (share * tf.cast(last, tf.float64) for share in (0.01, 0.99))
    low, high = _tails(values)
    tails = tf.boolean_mask(values, inside & ((values <= low) | (values >= high)))
    needed_low = tf.minimum(tf.cast(low_rank, tf.int32) + 2, count)
    needed_high = count - tf.cast(high_rank, tf.int32)
    hold = (_count(tails <= low) >= needed_low) & (_count(tails >= high) >= needed_high)
    found = tf.cond(hold, lambda: tails, lambda: tf.boolean_mask(values, inside))
    # One zero more, for there may be none.
    ordered = tf.pad(tf.cast(tf.sort(found), tf.float64), [[0, 1]])
    left_out = count - tf.size(found)
    return _at(low_rank, ordered, 0, last), _at(high_rank, ordered, left_out, last)


def _tails(values: tf.Tensor) -> Two:
    """The values up to and from which the tails reach, by a sample; all where it shows none."""
    voxels = tf.size(values)
    # Every so many-th, an odd number: an even one might see a few columns of the volume alone.
    sample = tf.gather(values, tf.range(0, voxels, voxels // (2 * SAMPLE) * 2 + 1))
    ordered = tf.sort(tf.boolean_mask(sample, sample != 0))
    size = tf.size(ordered)
    share = tf.cast(tf.math.ceil(TAIL * tf.cast(size, tf.float32)), tf.int32)
    low = tf.pad(ordered, [[0, 1]], constant_values=values.dtype.max)[share]
    high = tf.pad(ordered, [[1, 0]], constant_values=values.dtype.min)[size - share]
    return low, high


def _at(rank: tf.Tensor, ordered: tf.Tensor, left_out: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """The value at a rank between two, as NumPy's `_lerp` has it to the bit.

    Args:
        ordered: values; `left_out` more were before the one that is asked for.
        last: the highest rank.
    """
    below = tf.cast(rank, tf.int32)
    above = tf.minimum(below + 1, last)
    weight = rank - tf.cast(below, tf.float64)
    first, second = ordered[below - left_out], ordered[above - left_out]
    step = second - first
    return tf.where(weight < 0.5, first + step * weight, second - step * (1 - weight))


def _count(holds: tf.Tensor) -> tf.Tensor:
    return tf.math.count_nonzero(holds, dtype=tf.int32)
