"""Streams of serialised examples: which are drawn, and in which order."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import tensorflow as tf
from absl import logging

from tfrecords.errors import UserError
from tfrecords.reading.favoured import Favoured
from tfrecords.reading.owners import Owners
from tfrecords.reading.record_set import RecordSet
from tfrecords.records.contents import contents_of
from tfrecords.records.manifest import Shard
from tfrecords.records.views import Volumes

# Serialised examples held for shuffling, at most.
SHUFFLE_BYTES = 256 * 2**20
# So that an epoch that reads the shards' beginnings alone still sees many subjects.
SHARDS_AT_ONCE = 16
# Serialised, or its number among `Places`; and its owner's number among `Owners`.
Example = tuple[tf.Tensor, tf.Tensor]


@dataclass(frozen=True)
class Stream:
    """Examples of some shards.

    Attributes:
        chosen: for each shard, bool [N]: which of its examples these are, one at least.
        share: of a batch, expected.
    """

    shards: tuple[Shard, ...]
    chosen: tuple[np.ndarray, ...]
    share: float = 1.0

    @classmethod
    def of(
        cls, shards: Sequence[Shard], wanted: Callable[[Shard], np.ndarray], share: float = 1.0
    ) -> Self:
        """The examples that `wanted`, bool [N] of a shard, says; there may be none."""
        found = [(shard, chosen) for shard in shards if (chosen := wanted(shard)).any()]
        return cls(tuple(s for s, _ in found), tuple(chosen for _, chosen in found), share)

    @property
    def examples(self) -> int:
        return sum(int(chosen.sum()) for chosen in self.chosen)

    @property
    def shuffle_buffer(self) -> int:
        """As many examples as there are, or as SHUFFLE_BYTES hold."""
        mean_bytes = sum(s.bytes for s in self.shards) / sum(s.examples for s in self.shards)
        return max(1, min(self.examples, int(SHUFFLE_BYTES / mean_bytes)))


def everything(shard: Shard) -> np.ndarray:
    return np.ones(shard.examples, bool)


def streams(
    shards: Sequence[Shard], subjects: Collection[str] | None, favoured: Favoured | None
) -> list[Stream]:
    """What is favoured and what is not; all in one where nothing is told apart, none of nothing.

    Args:
        subjects: those whose examples are drawn; None for all.
    """
    wanted = _of_subjects(subjects)
    whole = Stream.of(shards, wanted)
    if favoured is None or not whole.shards:
        return [whole] if whole.shards else []
    inside = Stream.of(shards, lambda s: wanted(s) & favoured.of(s), favoured.share)
    outside = Stream.of(shards, lambda s: wanted(s) & ~favoured.of(s), 1 - favoured.share)
    return [inside, outside] if inside.shards and outside.shards else [whole]


def tell_of_favoured(
    shards: Sequence[Shard], subjects: Collection[str] | None, favoured: Favoured
) -> None:
    """Logs how many of the examples that `streams` draws from are favoured; warns of none."""
    wanted = _of_subjects(subjects)
    whole = Stream.of(shards, wanted).examples
    inside = Stream.of(shards, lambda s: wanted(s) & favoured.of(s)).examples
    if inside:
        logging.info("favoured: %d of %d examples are of %s", inside, whole, favoured)
    else:
        logging.warning("favoured: no training example is of %s: all are drawn alike", favoured)


def _of_subjects(subjects: Collection[str] | None) -> Callable[[Shard], np.ndarray]:
    """bool [N] of a shard: which of its examples are of these subjects; None for all."""

    def wanted(shard: Shard) -> np.ndarray:
        if subjects is None:
            return everything(shard)
        return np.array([name in subjects for name in shard.subjects])[contents_of(shard).owners]

    return wanted


class Draws:
    """A stream's examples in random order, for graphs that read them."""

    def __init__(
        self,
        records: RecordSet,
        stream: Stream,
        owners: Owners,
        number: int,
        first_place: int | None = None,
    ) -> None:
        """Args:
        number: tells streams apart that are drawn from by one seed.
        first_place: of the stream's examples, where these are numbers among `Places` instead.
        """
        self._stream = stream
        self._number = number
        self._first_place = first_place
        ends = np.cumsum([shard.examples for shard in stream.shards])
        self._shards = (
            records.paths(stream.shards),
            ends - [s.examples for s in stream.shards],
            ends,
        )
        self._owners = tf.constant(np.concatenate([owners.numbers(s) for s in stream.shards]))
        self._chosen = tf.constant(np.concatenate(stream.chosen))
        self._whole = bool(np.concatenate(stream.chosen).all())

    def epoch(self, epoch_seed: tf.Tensor) -> tf.data.Dataset:
        """Examples without end: shards in random order, then examples within the buffer."""
        stream_seed = epoch_seed + tf.constant([0, (self._number + 1) << 40], tf.int64)
        draws = tf.random.stateless_uniform([2], stream_seed, maxval=2**62, dtype=tf.int64)
        return (
            tf.data.Dataset.from_tensor_slices(self._shards)
            .shuffle(len(self._stream.shards), seed=draws[0])
            .interleave(self._examples, cycle_length=SHARDS_AT_ONCE)
            .shuffle(self._stream.shuffle_buffer, seed=draws[1])
            .repeat()
        )

    def _examples(self, path: tf.Tensor, first: tf.Tensor, end: tf.Tensor) -> tf.data.Dataset:
        """Of one shard, those that are chosen, told apart by their places."""
        if self._first_place is None:
            content = tf.data.TFRecordDataset(path)
        else:
            content = tf.data.Dataset.range(self._first_place + first, self._first_place + end)
        owners = tf.data.Dataset.from_tensor_slices(self._owners[first:end])
        examples = tf.data.Dataset.zip(content, owners)
        if self._whole:
            return examples
        chosen = tf.data.Dataset.from_tensor_slices(self._chosen[first:end])
        pairs = tf.data.Dataset.zip(examples, chosen).filter(lambda _, wanted: wanted)
        return pairs.map(lambda example, _: example)


def mixed(
    drawn: Sequence[tf.data.Dataset], shares: Sequence[float], epoch_seed: tf.Tensor
) -> tf.data.Dataset:
    """Examples of several streams, drawn with the given probabilities."""
    if len(drawn) == 1:
        return drawn[0]
    logits = tf.math.log([shares])

    def draw(number: tf.Tensor) -> tf.Tensor:
        choice_seed = epoch_seed + tf.stack([tf.constant(0, tf.int64), (number + 1) * 2**20])
        return tf.random.stateless_categorical(logits, 1, choice_seed, dtype=tf.int64)[0, 0]

    choices = tf.data.Dataset.counter(dtype=tf.int64).map(draw)
    return tf.data.Dataset.choose_from_datasets(drawn, choices, stop_on_empty_dataset=True)


def unlabelled_stream(records: RecordSet, subjects: Collection[str] | None) -> Stream:
    """Whole volumes of these subjects; None for all without a label map.

    Raises:
        UserError: there are none.
    """
    manifest = records.manifest
    shards = manifest.unlabelled
    if subjects is not None:
        shards = tuple(shard for shard in manifest.shards if shard.kind == Volumes.kind)
    stream = Stream.of(shards, _of_subjects(subjects))
    if not stream.shards:
        raise UserError(
            f"{records.folder}: expected subjects without a label map, found none. "
            "Run launch/preprocess.py --unlabelled, or let some of those that have one train "
            "without: --positive_fraction, --unlabelled_subjects"
        )
    return stream
