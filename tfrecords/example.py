"""The one file that knows the features' names: writing an example, and reading it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfrecords.statistics import STATISTICS
from tfrecords.views import Cut
from tfrecords.wire import encode_example

if TYPE_CHECKING:
    import tensorflow as tf


class Parsed(NamedTuple):
    """An example as tensors.

    Attributes:
        image: as stored, [Y, X, C] or [Z, Y, X, C].
        label: uint8 class indices [Y, X] or [Z, Y, X]; of patches, their centre alone.
        statistics: float32 [C, len(STATISTICS)].
        subject: string.
        position: int64 [3], (z, y, x) of the first voxel in the subject's volume.
    """

    image: tf.Tensor
    label: tf.Tensor
    statistics: tf.Tensor
    subject: tf.Tensor
    position: tf.Tensor


def encode(subject: str, example: Cut, statistics: np.ndarray) -> bytes:
    """A serialised tf.train.Example."""
    return encode_example(
        {
            "image": example.image.tobytes(),
            "label": example.label.tobytes(),
            "shape": example.image.shape,
            "label_shape": example.label.shape,
            "position": example.position,
            "statistics": statistics,
            "subject": subject.encode(),
        }
    )


def subject_of(serialised: tf.Tensor) -> tf.Tensor:
    """The subject's name of a serialised example, without decoding the rest."""
    import tensorflow as tf  # noqa: PLC0415 - as in `parse`.

    feature = {"subject": tf.io.FixedLenFeature([], tf.string)}
    return tf.io.parse_single_example(serialised, feature)["subject"]


def parse(serialised: tf.Tensor, image_dtype: str, rank: int, channels: int) -> Parsed:
    """A serialised example as tensors.

    Args:
        image_dtype: of the stored image, from the manifest.
        rank: spatial axes: 2 for slices and patches, 3 for volumes.
    """
    import tensorflow as tf  # noqa: PLC0415 - writing must not import TensorFlow.

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
