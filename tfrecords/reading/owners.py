"""Whose each example is: what the manifest lists, compared with what is read.

A shard that was exchanged for another of its size would bring a test subject into training.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfrecords.records.contents import contents_of
from tfrecords.records.manifest import Shard


class Owners:
    """The subjects of some shards' examples, for graphs that read them."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        names = sorted({name for shard in shards for name in shard.subjects})
        self._numbers = {name: number for number, name in enumerate(names)}
        self._names = tf.constant(names)

    def numbers(self, shard: Shard) -> np.ndarray:
        """int [N]: by which `checked` knows the owner of each example."""
        return np.array([self._numbers[n] for n in shard.subjects])[contents_of(shard).owners]

    def checked(self, subject: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """The subject of an example, if it is the owner of this number.

        Raises:
            InvalidArgumentError: it is not; `record_set.damage_named` finds the shard.
        """
        words = ["an example of a subject that the manifest does not list for its place:", subject]
        with tf.control_dependencies(
            [tf.debugging.Assert(tf.gather(self._names, number) == subject, words)]
        ):
            return tf.identity(subject)
