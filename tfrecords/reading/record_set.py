"""A record set on disk: opening it, its whole volumes, and what is damaged in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecords.errors import UserError
from tfrecords.reading.parsing import parse
from tfrecords.records.manifest import (
    REPAIR,
    Manifest,
    Shard,
    SubjectRecord,
    damaged_shards,
    load_manifest,
)
from tfrecords.sources.labels import read_classes


@dataclass(frozen=True)
class RecordSet:
    """A record set on disk. `open_record_set` checks it."""

    folder: Path
    manifest: Manifest

    def paths(self, shards: Sequence[Shard]) -> list[str]:
        return [str(self.folder / shard.file) for shard in shards]


@dataclass(frozen=True)
class SubjectVolume:
    """A subject's body: image as stored [Z, Y, X, C], class indices [Z, Y, X], first voxel.

    Class indices are IGNORED where nobody annotated.
    """

    subject: str
    image: np.ndarray
    label: np.ndarray
    position: tuple[int, int, int]


def open_record_set(folder: Path) -> RecordSet:
    """Raises UserError where the folder does not hold what its manifest says."""
    return RecordSet(folder, load_manifest(folder))


@contextmanager
def damage_named(records: RecordSet) -> Iterator[None]:
    """Turns TensorFlow's data loss, which names no file, into an error that names the shards."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        damaged = damaged_shards(records.folder, records.manifest)
        if not damaged:
            raise
        names = ", ".join(map(str, damaged))
        raise UserError(f"{names}: checksum differs from the manifest's. {REPAIR}") from error


def subject_volumes(records: RecordSet, folds: Sequence[str]) -> Iterator[SubjectVolume]:
    """The whole volumes of the given folds, one at a time."""
    manifest = records.manifest
    paths = records.paths(manifest.select("volumes", folds))
    dataset = tf.data.TFRecordDataset(paths).map(
        lambda record: parse(record, manifest.image_dtype, 3, len(manifest.modalities)),
        num_parallel_calls=2,
        deterministic=True,
    )
    with damage_named(records):
        for parsed in dataset.prefetch(2).as_numpy_iterator():
            z, y, x = (int(value) for value in parsed.position)
            yield SubjectVolume(parsed.subject.decode(), parsed.image, parsed.label, (z, y, x))


def label_in_body(
    path: Path, volume: SubjectVolume, origin: SubjectRecord, manifest: Manifest
) -> np.ndarray:
    """A label file on a subject's source grid, as class indices of its body, uint8 [Z, Y, X].

    Voxel for voxel what `volume.label` is of the subject's own label file.

    Raises:
        UserError: it cannot be read, lies elsewhere, or has values of no class.
    """
    working = read_classes(
        path, manifest.classes, origin.working, manifest.ignored, source=origin.source
    )
    first, extents = volume.position, volume.label.shape
    z, y, x = (slice(a, a + n) for a, n in zip(first, extents, strict=True))
    return working[z, y, x]
