"""Training batches as tf.data, determined by seed and epoch."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfrecords.errors import UserError
from tfrecords.reading.owners import Owners
from tfrecords.reading.places import Places
from tfrecords.reading.preparation import Preparation
from tfrecords.reading.recipe import Recipe
from tfrecords.reading.record_set import RecordSet
from tfrecords.reading.streams import Draws, Example, mixed, streams, unlabelled_stream
from tfrecords.records.views import View


@dataclass(frozen=True)
class Parts:
    """Those of a batch's `of` equal parts that one of several workers prepares, in order."""

    first: int
    count: int
    of: int


@tf.autograph.experimental.do_not_convert  # Nothing in its maps branches on a tensor: sooner.
def training_batches(
    records: RecordSet,
    folds: Sequence[str],
    recipe: Recipe,
    seed: int,
    epochs: range,
    steps_per_epoch: int,
    subjects: Collection[str] | None = None,
    unlabelled_subjects: Collection[str] | None = None,
    minibatches: int = 1,
    parts: Parts | None = None,
) -> tf.data.Dataset:
    """Batches {"image": [B, h, w, C], "label": [B, h, w]} of the given epochs, one after another.

    Of volumes: [B, d, h, w, C] and [B, d, h, w]. "unlabelled", images alone, where the recipe wants
    it. A patch's label is its centre alone. Labels of regions are masks [B, ..., R].

    Where the record set ignores label values, "annotated", uint8 [B, ...] of the label's voxels, is
    0 where nobody annotated. The label there is the background's, and means nothing.

    What an epoch holds depends on the seed and its number alone, so that a run that resumes at an
    epoch sees what an undisturbed one does.

    Args:
        subjects: those of the folds whose examples are drawn; None for all.
        unlabelled_subjects: those, of any fold, whose images the recipe wants without labels; None
            for all that have no label map.
        minibatches: of a batch: those of a step's updates on every replica.
        parts: which of every batch's parts are given, each as a batch; None for whole batches.
    """
    _require_view(records, recipe.view)
    manifest = records.manifest
    labelled = streams(manifest.select(recipe.view.kind, folds), subjects, recipe.favoured)
    if not labelled:
        raise UserError(
            f"{records.folder}: expected {recipe.view} in the training folds, found none. "
            f"Run launch/preprocess.py {recipe.view.flags}"
        )
    unlabelled = [unlabelled_stream(records, unlabelled_subjects)] if recipe.unlabelled else []
    every = [*labelled, *unlabelled]
    owners = Owners([shard for stream in every for shard in stream.shards])
    places = Places(records, [shard for s in every for shard in s.shards]) if parts else None
    firsts = np.cumsum([0, *(sum(shard.examples for shard in s.shards) for s in every)])
    draws = [
        Draws(records, stream, owners, number, int(firsts[number]) if parts else None)
        for number, stream in enumerate(every)
    ]
    batch = recipe.minibatch * minibatches
    examples = steps_per_epoch * batch
    preparation = Preparation(records, recipe, owners, places, seed)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        """(number, example), or (number, example, unlabelled example); see `Draws`."""
        epoch_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
        drawn = [draw.epoch(epoch_seed) for draw in draws]
        numbers = tf.data.Dataset.range(epoch * examples, (epoch + 1) * examples)
        together = mixed(drawn[: len(labelled)], [s.share for s in labelled], epoch_seed)
        return tf.data.Dataset.zip(numbers, together, *drawn[len(labelled) :])

    return (
        tf.data.Dataset.range(epochs.start, epochs.stop)
        .flat_map(one_epoch)
        .apply(lambda numbered: _own(numbered, parts, batch) if parts else numbered)
        .map(preparation.prepare, tf.data.AUTOTUNE, deterministic=True)
        .batch(batch // parts.of if parts else batch, drop_remainder=True)
        .prefetch(2)
        .with_options(_untuned())
    )


def _untuned() -> tf.data.Options:
    """As many examples at a time as there are processors, 16 at most.

    Whoever ends an iterator waits until its tuner looks up, seconds or a minute later.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _own(numbered: tf.data.Dataset, parts: Parts, batch: int) -> tf.data.Dataset:
    """The examples of one worker's parts; the others' are not read."""
    size = batch // parts.of

    def own(number: tf.Tensor, *_: Example) -> tf.Tensor:
        part = number % batch // size - parts.first
        return (part >= 0) & (part < parts.count)

    return numbered.filter(own)


def _require_view(records: RecordSet, wanted: View) -> None:
    """Raises UserError where the record set was not cut for the wanted view."""
    found = records.manifest.view
    if not wanted.served_by(found):
        raise UserError(
            f"{records.folder}: expected {wanted}, received a record set of {found}. Run "
            f"launch/preprocess.py {wanted.flags}"
        )
