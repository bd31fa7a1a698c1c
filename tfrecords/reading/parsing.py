"""Examples as tensors: what `records.example` wrote, read back."""

from typing import NamedTuple

import tensorflow as tf

from tfrecords.records.intensities import STATISTICS


class Parsed(NamedTuple):
    """An example as tensors.

    Attributes:
        image: as stored, [Y, X, C] or [Z, Y, X, C].
        label: uint8 class indices [Y, X] or [Z, Y, X], IGNORED where nobody annotated; of patches,
            their centre alone.
        statistics: float32 [C, len(STATISTICS)].
        subject: string.
        position: int64 [3], (z, y, x) of the first voxel in the subject's volume.
    """

    image: tf.Tensor
    label: tf.Tensor
    statistics: tf.Tensor
    subject: tf.Tensor
    position: tf.Tensor


def parse(serialised: tf.Tensor, image_dtype: str, rank: int, channels: int) -> Parsed:
    """A serialised example as tensors.

    Args:
        image_dtype: of the stored image, from the manifest.
        rank: spatial axes: 2 for slices and patches, 3 for volumes.
    """
    features = tf.io.parse_single_example(
        serialised,
        {
            "image": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.string),
            "shape": tf.io.FixedLenFeature([rank + 1], tf.int64),
            "label_shape": tf.io.FixedLenFeature([rank], tf.int64),
            "position": tf.io.FixedLenFeature([3], tf.int64),
            "statistics": tf.io.FixedLenFeature([channels, len(STATISTICS)], tf.float32),
            "subject": tf.io.FixedLenFeature([], tf.string),
        },
    )
    pixels = tf.io.decode_raw(features["image"], tf.as_dtype(image_dtype))
    image = tf.reshape(pixels, features["shape"])
    label = tf.reshape(tf.io.decode_raw(features["label"], tf.uint8), features["label_shape"])
    image.set_shape([None] * rank + [channels])
    label.set_shape([None] * rank)
    return Parsed(image, label, features["statistics"], features["subject"], features["position"])
