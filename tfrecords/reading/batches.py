"""Training batches as tf.data, determined by seed and epoch."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfrecords.errors import SettingError, UserError
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.crops import crop_of
from tfrecords.reading.normalisation import normalise, stored_statistics
from tfrecords.reading.owners import Owners
from tfrecords.reading.parsing import parse, subject_of
from tfrecords.reading.record_set import RecordSet
from tfrecords.records.manifest import Shard
from tfrecords.records.views import View
from tfrecords.sources.subject import IGNORED

# Serialised examples held for shuffling, at most.
SHUFFLE_BYTES = 256 * 2**20
# So that an epoch that reads the shards' beginnings alone still sees many subjects.
SHARDS_AT_ONCE = 16
Batch = dict[str, tf.Tensor]
Example = tuple[tf.Tensor, tf.Tensor]  # Serialised, and its shard's number among `Owners`.


@dataclass(frozen=True)
class Recipe:
    """How training examples become batches.

    Attributes:
        view: of the examples. A record set's patches may be larger.
        size: of the crop of a slice (height, width) or of a volume (depth, height, width).
        minibatch: examples of one minibatch of one replica.
        scheme: of normalisation.
        regions: class indices of each region, if labels are to be regions; empty for classes.
        favoured_share: expected share of a batch from the manifest's first group; None draws from
            all examples alike.
        unlabelled: whether every example comes with another one's image, of a subject without label
            map (volumes only).
    """

    view: View
    size: tuple[int, ...]
    minibatch: int
    scheme: str
    augmentation: Augmentation
    regions: tuple[tuple[int, ...], ...] = ()
    favoured_share: float | None = None
    unlabelled: bool = False

    def __post_init__(self) -> None:
        if not self.view.augmentable and self.augmentation != Augmentation():
            raise SettingError(
                "augmentation",
                f"expected none of {self.view}, which cannot be rotated, shifted or mirrored, "
                f"received {self.augmentation}",
            )
        if self.unlabelled and self.view.axes != 3:
            raise SettingError(
                "unlabelled",
                f"expected the view volumes, as which they are stored, received {self.view}",
            )


def training_batches(
    records: RecordSet,
    folds: Sequence[str],
    recipe: Recipe,
    seed: int,
    epochs: range,
    steps_per_epoch: int,
    subjects: Collection[str] | None = None,
    minibatches: int = 1,
) -> tf.data.Dataset:
    """Batches {"image": [B, h, w, C], "label": [B, h, w]} of the given epochs, one after another.

    Of volumes: [B, d, h, w, C] and [B, d, h, w], and "unlabelled" [B, d, h, w, C] where the recipe
    wants it. A patch's label is its centre alone. Labels of regions are masks [B, ..., R].

    Where the record set ignores label values, "annotated", uint8 [B, ...] of the label's voxels, is
    0 where nobody annotated. The label there is the background's, and means nothing.

    What an epoch holds depends on the seed and its number alone, so that a run that resumes at an
    epoch sees what an undisturbed one does.

    Args:
        subjects: those of the folds whose examples are drawn; None for all.
        minibatches: of a batch: those of a step's updates on every replica.
    """
    _require_view(records, recipe.view)
    manifest = records.manifest
    shards = manifest.select(recipe.view.kind, folds)
    if subjects is not None:
        shards = tuple(shard for shard in shards if set(shard.subjects) & set(subjects))
    streams = _streams(shards, records, recipe)
    # Where all subjects of the shards are wanted, nobody needs to look at names.
    partial = subjects is not None and any(set(s.subjects) - set(subjects) for s in shards)
    wanted = subjects if partial else None
    unlabelled = _unlabelled(records) if recipe.unlabelled else ()
    owners = Owners([shard for part, _ in streams for shard in part] + list(unlabelled))
    batch = recipe.minibatch * minibatches
    examples = steps_per_epoch * batch
    crop = crop_of(recipe.view, manifest.view, recipe.size, recipe.augmentation)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        """(number, example), or (number, example, unlabelled example); see `_shuffled`."""
        epoch_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
        drawn = [
            _shuffled(records, part, owners, epoch_seed, number, wanted)
            for number, (part, _) in enumerate(streams)
        ]
        mixed = drawn[0]
        if len(drawn) > 1:
            choices = _choices([share for _, share in streams], epoch_seed)
            mixed = tf.data.Dataset.choose_from_datasets(drawn, choices, stop_on_empty_dataset=True)
        numbers = tf.data.Dataset.range(epoch * examples, (epoch + 1) * examples)
        if not unlabelled:
            return tf.data.Dataset.zip(numbers, mixed)
        others = _shuffled(records, unlabelled, owners, epoch_seed, len(streams))
        return tf.data.Dataset.zip(numbers, mixed, others)

    def cropped(example: Example, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        serialised, shard = example
        parsed = parse(serialised, manifest.image_dtype, recipe.view.axes, len(manifest.modalities))
        statistics = stored_statistics(parsed.statistics, recipe.scheme)
        with tf.control_dependencies([owners.checked(parsed.subject, shard)]):
            return crop(
                parsed.image,
                parsed.label,
                lambda image: normalise(image, statistics, recipe.scheme),
                seed,
            )

    def prepare(number: tf.Tensor, labelled: Example, *others: Example) -> Batch:
        example_seed = tf.stack([tf.constant(seed, tf.int64), number])
        image, label = cropped(labelled, example_seed)
        batch = {"image": image}
        if manifest.ignored:
            annotated = label != IGNORED
            batch["annotated"] = tf.cast(annotated, tf.uint8)
            label = tf.where(annotated, label, tf.zeros_like(label))
        batch["label"] = _regions(label, recipe.regions)
        for other in others:
            batch["unlabelled"], _ = cropped(other, example_seed)
        return batch

    return (
        tf.data.Dataset.range(epochs.start, epochs.stop)
        .flat_map(one_epoch)
        .map(prepare, tf.data.AUTOTUNE, deterministic=True)
        .batch(batch, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def _require_view(records: RecordSet, wanted: View) -> None:
    """Raises UserError where the record set was not cut for the wanted view."""
    found = records.manifest.view
    if not wanted.served_by(found):
        raise UserError(
            f"{records.folder}: expected {wanted}, received a record set of {found}. Run "
            f"launch/preprocess.py {wanted.flags}"
        )


def _regions(label: tf.Tensor, regions: Sequence[Sequence[int]]) -> tf.Tensor:
    """Class indices [...] as uint8 masks [..., R]; as they are where there are no regions."""
    if not regions:
        return label
    table = np.zeros((256, len(regions)), np.uint8)
    for number, members in enumerate(regions):
        table[list(members), number] = 1
    return tf.gather(tf.constant(table), tf.cast(label, tf.int32))


def _streams(
    shards: Sequence[Shard], records: RecordSet, recipe: Recipe
) -> list[tuple[list[Shard], float]]:
    """(shards, share of the batch) of each stream to draw from.

    Raises:
        UserError: the record set has no training examples of the recipe's view in these folds.
    """
    shards = [shard for shard in shards if shard.examples]
    if not shards:
        raise UserError(
            f"{records.folder}: expected {recipe.view} in the training folds, found none. "
            f"Run launch/preprocess.py {recipe.view.flags}"
        )
    favoured = [shard for shard in shards if shard.group == records.manifest.groups[0]]
    others = [shard for shard in shards if shard.group != records.manifest.groups[0]]
    if recipe.favoured_share is None or not favoured or not others:
        return [(shards, 1.0)]
    return [(favoured, recipe.favoured_share), (others, 1 - recipe.favoured_share)]


def _unlabelled(records: RecordSet) -> tuple[Shard, ...]:
    """Raises UserError where there are no subjects without label map."""
    shards = records.manifest.unlabelled
    if not shards:
        raise UserError(
            f"{records.folder}: expected subjects without a label map, found none. "
            "Run launch/preprocess.py --unlabelled"
        )
    return shards


def _shuffle_buffer(shards: Sequence[Shard]) -> int:
    """As many examples as there are, or as SHUFFLE_BYTES hold."""
    examples = sum(shard.examples for shard in shards)
    mean_bytes = sum(shard.bytes for shard in shards) / examples
    return max(1, min(examples, int(SHUFFLE_BYTES / mean_bytes)))


def _shuffled(
    records: RecordSet,
    shards: Sequence[Shard],
    owners: Owners,
    epoch_seed: tf.Tensor,
    stream: int,
    subjects: Collection[str] | None = None,
) -> tf.data.Dataset:
    """Examples without end: shards in random order, then examples within the buffer.

    Args:
        subjects: those to keep; None for all.
    """
    stream_seed = epoch_seed + tf.constant([0, (stream + 1) << 40], tf.int64)
    draws = tf.random.stateless_uniform([2], stream_seed, maxval=2**62, dtype=tf.int64)
    examples = (
        tf.data.Dataset.from_tensor_slices((records.paths(shards), owners.numbers(shards)))
        .shuffle(len(shards), seed=draws[0])
        .interleave(_examples, cycle_length=SHARDS_AT_ONCE)
    )
    if subjects is not None:
        names = tf.constant(sorted(subjects))
        # Checked here, too: of an exchanged shard, nothing might be left to check.
        examples = examples.filter(
            lambda record, shard: tf.reduce_any(owners.checked(subject_of(record), shard) == names)
        )
    return examples.shuffle(_shuffle_buffer(shards), seed=draws[1]).repeat()


def _examples(path: tf.Tensor, shard: tf.Tensor) -> tf.data.Dataset:
    """Of one shard, each with its number."""
    # By no function, which would be called for each.
    return tf.data.Dataset.zip(
        tf.data.TFRecordDataset(path), tf.data.Dataset.from_tensors(shard).repeat()
    )


def _choices(shares: Sequence[float], epoch_seed: tf.Tensor) -> tf.data.Dataset:
    """Numbers of streams, drawn with the given probabilities."""
    logits = tf.math.log([shares])

    def draw(number: tf.Tensor) -> tf.Tensor:
        choice_seed = epoch_seed + tf.stack([tf.constant(0, tf.int64), (number + 1) * 2**20])
        return tf.random.stateless_categorical(logits, 1, choice_seed, dtype=tf.int64)[0, 0]

    return tf.data.Dataset.counter(dtype=tf.int64).map(draw)
