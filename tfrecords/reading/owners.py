"""Whose examples each shard holds: what the manifest lists, compared with what is read.

A shard that was exchanged for another of its size would bring a test subject into training.
"""

from collections.abc import Sequence

import tensorflow as tf

from tfrecords.records.manifest import Shard


class Owners:
    """The subjects of some shards, for graphs that read them."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._numbers = {shard.file: number for number, shard in enumerate(shards)}
        # Filled with the empty name, which no subject has.
        most = max(len(shard.subjects) for shard in shards)
        rows = [[*shard.subjects, *[""] * (most - len(shard.subjects))] for shard in shards]
        self._names = tf.constant(rows)

    def numbers(self, shards: Sequence[Shard]) -> list[int]:
        """By which `checked` knows them."""
        return [self._numbers[shard.file] for shard in shards]

    def checked(self, subject: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """The subject of an example of the shard of this number, if the manifest lists it there.

        Raises:
            InvalidArgumentError: it does not; `record_set.damage_named` finds the shard.
        """
        listed = tf.reduce_any(tf.gather(self._names, number) == subject)
        words = ["an example of a subject that the manifest does not list for its shard:", subject]
        with tf.control_dependencies([tf.debugging.Assert(listed, words)]):
            return tf.identity(subject)
