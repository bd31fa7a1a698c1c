"""Writing shards: atomically, in an order that depends on the seed alone, resuming after a kill."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from absl import logging

from tfrecords.errors import UserError
from tfrecords.files import checksum_holds, read_json, write_json, writing
from tfrecords.geometry.resample import to_working
from tfrecords.records import example
from tfrecords.records.contents import Contents, held
from tfrecords.records.intensities import foreground_statistics, stored
from tfrecords.records.manifest import FORMAT_VERSION, Shard
from tfrecords.records.views import View, body_box
from tfrecords.records.wire import frame
from tfrecords.sources.images import load_image
from tfrecords.sources.labels import read_classes
from tfrecords.writing.parts import VOLUMES, Part, ShardSettings, Source

BUFFER_BYTES = 2**20
PROGRESS = ".progress"


def finished(folder: Path, planned: Shard) -> Shard | None:
    """The shard as written by an earlier run, if its checksum holds."""
    record = folder / PROGRESS / f"{planned.file}.json"
    if not record.is_file():
        return None
    try:
        known = read_json(record, Shard, FORMAT_VERSION, "The shard is written anew.")
    except UserError as error:
        logging.warning("%s", error)
        return None
    if known.fingerprint != planned.fingerprint:
        return None
    shard = replace(
        planned,
        examples=known.examples,
        bytes=known.bytes,
        sha256=known.sha256,
        centres=known.centres,
        owners=known.owners,
        holds=known.holds,
    )
    return shard if checksum_holds(folder / planned.file, shard.sha256) else None


def note_progress(folder: Path, shards: Iterable[Shard]) -> None:
    """Remembers finished shards, so that a run after a kill keeps them."""
    (folder / PROGRESS).mkdir(exist_ok=True)
    for shard in shards:
        write_json(folder / PROGRESS / f"{shard.file}.json", shard, FORMAT_VERSION)


@dataclass(frozen=True)
class _Opened:
    """A subject as a worker holds it: what `load` gives, and its statistics."""

    name: str
    image: np.ndarray
    label: np.ndarray
    statistics: np.ndarray


def write_part(part: Part) -> tuple[Shard, ...]:
    """Writes a part's missing shards, and notes each as soon as it is whole.

    Memory: the volumes of the part's subjects, and the places of their examples.
    """
    subjects = []
    for source in part.sources:
        image, label = load(source, part.settings)
        subjects.append(_Opened(source.subject.name, image, label, foreground_statistics(image)))
    *training, volumes = part.shards
    mixed = _mixed(subjects, part.settings) if training else np.empty((0, 4), int)
    written = []
    for shard in part.missing:
        if shard == volumes:
            view: View = VOLUMES
            places = _places(subjects, view, part.settings.seed)
        else:
            view = part.settings.view
            places = mixed[training.index(shard) :: len(training)]
        written.append(_write(part, shard, view, subjects, places))
        note_progress(part.folder, written[-1:])
    return tuple(written)


def _mixed(subjects: Sequence[_Opened], settings: ShardSettings) -> np.ndarray:
    """The places of the part's training examples in random order [N, 4]."""
    places = _places(subjects, settings.view, settings.seed)
    return np.random.default_rng(settings.seed).permutation(places)


def _places(subjects: Sequence[_Opened], view: View, seed: int) -> np.ndarray:
    """Index of the subject, z, y, x of examples, subject by subject [N, 4]."""
    drawn = []
    for number, subject in enumerate(subjects):
        random = np.random.default_rng([seed, *subject.name.encode()])
        places = view.places(subject.image, subject.label, random)
        drawn.append(np.insert(places, 0, number, axis=1))
    return np.concatenate(drawn)


def load(source: Source, settings: ShardSettings) -> tuple[np.ndarray, np.ndarray]:
    """A subject on its working grid: the image as stored [Z, Y, X, C], class indices [Z, Y, X].

    Without a label map, these are zeros.

    Raises:
        UserError: a file is not the one that was checked, or nothing is left of a modality.
    """
    array, grid = load_image(source.subject, settings.channels, source.checksums)
    image = np.stack(
        [
            to_working(array[..., c], grid, source.working, label=False)
            for c in range(array.shape[-1])
        ],
        axis=-1,
    )
    image = stored(image, settings.image_dtype)
    _require_content(source, image)
    if source.subject.label is None:
        return image, np.zeros(image.shape[:-1], np.uint8)
    label = read_classes(
        source.subject.label,
        settings.classes,
        source.working,
        settings.ignored,
        source=source.source,
        sha256=source.checksums[str(source.subject.label)],
    )
    return image, label


def _require_content(source: Source, image: np.ndarray) -> None:
    """Scanning saw the whole source. Of what a model is given, the exported one demands the same.

    Raises:
        UserError: all voxels of a modality are equal in the body's box.
    """
    body = image[body_box(image)]
    empty = [c for c in range(body.shape[-1]) if np.ptp(body[..., c]) == 0]
    if empty:
        raise UserError(
            f"{source.subject.name}: modality {empty[0] + 1} is empty (all voxels of the body are "
            f"equal) on the grid of {source.working}. Give another --crop or --spacing, or take "
            f"the subject out of the sources: {', '.join(map(str, source.subject.images))}"
        )


def _write(
    part: Part, shard: Shard, view: View, subjects: Sequence[_Opened], places: np.ndarray
) -> Shard:
    """Writes the examples at these places [N, 4], one at a time."""
    size, classes = 0, len(part.settings.classes)
    digest = hashlib.sha256()
    centres = [[0] * classes for _ in subjects if view.of_classes]
    holds = np.zeros((len(places), classes), bool)
    with (
        writing(part.folder / shard.file, part.folder / PROGRESS) as temporary,
        temporary.open("wb", BUFFER_BYTES) as file,
    ):
        for row, (number, z, y, x) in enumerate(places.tolist()):
            subject = subjects[number]
            cut = view.cut(subject.image, subject.label, (z, y, x))
            data = frame(example.encode(subject.name, cut, subject.statistics))
            digest.update(data)
            size += file.write(data)
            holds[row] = held(cut.label, classes)
            if centres:
                middle = len(cut.label) // 2
                centres[number][cut.label[middle, middle]] += 1
    owners, bits = Contents(places[:, 0], holds).packed(len(subjects))
    return replace(
        shard,
        examples=len(places),
        bytes=size,
        sha256=digest.hexdigest(),
        centres=tuple(map(tuple, centres)),
        owners=owners,
        holds=bits,
    )
