"""What a model refuses of a raw volume. The checks are in its graph, so that a server has them."""

import re

import tensorflow as tf

CHECKED = "checked"  # The node that checks begin with.


def checked(volume: tf.Tensor, channels: int) -> tf.Tensor:
    """The volume, where it is one: what takes it on cannot run before the checks.

    Args:
        volume: [Z, Y, X, C].

    Raises:
        InvalidArgumentError: in the graph, where there is no voxel, another number of channels, or
            a voxel that is NaN or infinite.
    """
    # A saved signature does not hold its callers to its shape. With a shape that is known here,
    # TensorFlow would find the checks fulfilled and drop them.
    volume = tf.raw_ops.PlaceholderWithDefault(input=volume, shape=[None] * 4, name=CHECKED)
    shape = tf.shape(volume)
    # One after another: the first that fails speaks.
    volume = _after(
        tf.reduce_all(shape > 0),
        "volume [Z, Y, X, C]: expected at least one voxel along each axis. Received shape:",
        shape,
        volume,
    )
    volume = _after(
        shape[-1] == channels,  # The last: of a volume without channels, there is no fourth.
        f"volume [Z, Y, X, C]: expected {channels} channels, one per modality of "
        "assets/description.json. Received shape:",
        shape,
        volume,
    )
    volume = _after(
        tf.reduce_all(tf.math.is_finite(volume)),
        "volume: expected finite intensities. Received NaN or infinity. Shape:",
        shape,
        volume,
    )
    return tf.ensure_shape(volume, [None, None, None, channels])


def not_empty(volume: tf.Tensor) -> tf.Tensor:
    """The volume, where no channel is empty, as preprocessing says it.

    Args:
        volume: float32 [Z, Y, X, C], the box of the body as record sets hold it.

    Raises:
        InvalidArgumentError: in the graph, where all voxels of a channel are equal.
    """
    channels = [volume[..., channel] for channel in range(volume.shape[-1])]
    empty = tf.stack([tf.reduce_min(values) == tf.reduce_max(values) for values in channels])
    return _after(
        ~tf.reduce_any(empty),
        "volume: expected intensities that differ in every channel, of a model with a crop within "
        "it. Received equal ones in the channels:",
        tf.where(empty)[:, 0],
        volume,
    )


def _after(holds: tf.Tensor, expected: str, received: tf.Tensor, volume: tf.Tensor) -> tf.Tensor:
    check = tf.debugging.Assert(holds, [expected, received], summarize=4)
    with tf.control_dependencies([check] if check is not None else []):
        shape = tf.shape(volume)
        # ONNX has no assertions: there, a shape that the volume cannot have stops it, by this name.
        wanted = tf.where(holds, shape, shape + 1)
        same = tf.reshape(volume, wanted, name=re.sub(r"\W+", "_", expected))
    same.set_shape(volume.shape)
    return same
