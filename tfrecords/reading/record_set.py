"""A record set on disk: opening it, its whole volumes, and what is damaged in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecords.errors import UserError
from tfrecords.reading.parsing import parse
from tfrecords.records.manifest import REPAIR, Manifest, Shard, SubjectRecord, load_manifest
from tfrecords.records.verify import faults
from tfrecords.records.views import Volumes
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


# What TensorFlow raises of files that are gone, damaged, or not what the manifest says.
OF_FILES = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,
    tf.errors.PermissionDeniedError,
)


@contextmanager
def damage_named(records: RecordSet) -> Iterator[None]:
    """Turns TensorFlow's errors, which name no file, into one that names the damaged shards."""
    try:
        yield
    except OF_FILES as error:
        found = faults(records.folder, records.manifest)
        if not found:
            raise
        raise UserError(f"{'; '.join(found)}. {REPAIR}") from error


def subject_volumes(records: RecordSet, folds: Sequence[str]) -> Iterator[SubjectVolume]:
    """The whole volumes of the given folds, one at a time, each that the manifest lists once.

    Raises:
        UserError: a shard does not hold the subjects that the manifest lists, in their order.
    """
    manifest = records.manifest
    shards = manifest.select(Volumes.kind, folds)
    origins = {subject.name: subject for subject in manifest.subjects}
    listed = iter([(shard.file, name) for shard in shards for name in shard.subjects])
    with damage_named(records):
        for number, parsed in _numbered_volumes(records, shards).as_numpy_iterator():
            file, subject = shards[number].file, parsed.subject.decode(errors="replace")
            wanted = next(listed, (file, "no other subject"))
            if wanted != (file, subject):
                raise _unlisted(records, wanted, f"{subject} in {file}")
            z, y, x = (int(value) for value in parsed.position)
            volume = SubjectVolume(subject, parsed.image, parsed.label, (z, y, x))
            if not _lies_in(volume, origins[subject]):
                raise _unlisted(records, wanted, "a volume of another grid")
            yield volume
    for missing in listed:
        raise _unlisted(records, missing, "no more")


@tf.autograph.experimental.do_not_convert  # Nothing in its maps branches on a tensor: sooner.
def _numbered_volumes(records: RecordSet, shards: Sequence[Shard]) -> tf.data.Dataset:
    """Every volume, with its shard's number."""
    manifest = records.manifest
    return (
        tf.data.Dataset.from_tensor_slices(tf.constant(records.paths(shards), tf.string))
        .enumerate()
        .flat_map(lambda number, path: tf.data.TFRecordDataset(path).map(lambda r: (number, r)))
        .map(
            lambda number, record: (
                number,
                parse(record, manifest.image_dtype, Volumes.axes, len(manifest.modalities)),
            ),
            num_parallel_calls=2,
            deterministic=True,
        )
        .prefetch(2)
    )


def _unlisted(records: RecordSet, listed: tuple[str, str], received: str) -> UserError:
    file, wanted = listed
    return UserError(
        f"{records.folder / file}: expected the volume of {wanted}, as the manifest lists it, "
        f"received {received}: the shard was exchanged. {REPAIR}"
    )


def _lies_in(volume: SubjectVolume, origin: SubjectRecord) -> bool:
    """Whether the body lies in its subject's working grid."""
    ends = np.add(volume.position, volume.label.shape)
    inside = np.min(volume.position) >= 0 and (ends <= origin.working.shape[::-1]).all()
    return bool(inside) and volume.image.shape[:3] == volume.label.shape


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
