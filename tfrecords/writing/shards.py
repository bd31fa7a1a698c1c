"""Writing shards: atomically, in an order that depends on the seed alone, resuming after a kill."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from tfrecords.files import checksum_holds, write_json
from tfrecords.geometry.resample import to_working
from tfrecords.records import example, views
from tfrecords.records.manifest import Shard
from tfrecords.records.statistics import foreground_statistics
from tfrecords.records.storage import halve
from tfrecords.records.views import Cut, View
from tfrecords.records.wire import frame
from tfrecords.sources.labels import read_classes
from tfrecords.writing import scan
from tfrecords.writing.plan import Part, Settings, Source

BUFFER_BYTES = 2**20
PROGRESS = ".progress"


def finished(folder: Path, planned: Shard) -> Shard | None:
    """The shard as written by an earlier run, if its checksum holds."""
    record = folder / PROGRESS / f"{planned.file}.json"
    if not record.is_file():
        return None
    known = json.loads(record.read_text())
    if known["fingerprint"] != planned.fingerprint:
        return None
    shard = replace(
        planned,
        **{key: known[key] for key in ("examples", "bytes", "sha256")},
        centres=tuple(map(tuple, known["centres"])),
    )
    return shard if checksum_holds(folder / planned.file, shard.sha256) else None


def note_progress(folder: Path, shards: Iterable[Shard]) -> None:
    """Remembers finished shards, so that a run after a kill keeps them."""
    (folder / PROGRESS).mkdir(exist_ok=True)
    for shard in shards:
        write_json(folder / PROGRESS / f"{shard.file}.json", asdict(shard))


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
    count = len(part.shards) - 1
    mixed = _mixed(subjects, part.settings) if count else np.empty((0, 4), int)
    written = []
    for number, shard in enumerate(part.shards):
        if shard not in part.missing:
            continue
        if number < count:
            cuts = _cuts(subjects, part.settings.view, mixed[number::count])
        else:
            cuts = ((i, views.volume(s.image, s.label)) for i, s in enumerate(subjects))
        written.append(_write(part, shard, subjects, cuts))
        note_progress(part.folder, written[-1:])
    return tuple(written)


def _mixed(subjects: Sequence[_Opened], settings: Settings) -> np.ndarray:
    """The part's training examples in random order: index of the subject, z, y, x [N, 4]."""
    drawn = []
    for number, subject in enumerate(subjects):
        random = np.random.default_rng([settings.seed, *subject.name.encode()])
        places = views.places(settings.view, subject.image, subject.label, random)
        drawn.append(np.insert(places, 0, number, axis=1))
    return np.random.default_rng(settings.seed).permutation(np.concatenate(drawn))


def _cuts(
    subjects: Sequence[_Opened], view: View, examples: np.ndarray
) -> Iterator[tuple[int, Cut]]:
    for number, z, y, x in examples.tolist():
        subject = subjects[number]
        yield number, views.cut(view, subject.image, subject.label, (z, y, x))


def load(source: Source, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """A subject on its working grid: the image as stored [Z, Y, X, C], class indices [Z, Y, X].

    Without a label map, these are zeros.
    """
    array, grid = scan.load_image(source.subject, settings.channels)
    image = np.stack(
        [
            to_working(array[..., c], grid, source.working, label=False)
            for c in range(array.shape[-1])
        ],
        axis=-1,
    )
    if settings.image_dtype == "float16":
        image = halve(image)
    image = image.astype(settings.image_dtype, copy=False)
    if source.subject.label is None:
        return image, np.zeros(image.shape[:-1], np.uint8)
    return image, read_classes(source.subject.label, settings.classes, source.working)


def _write(
    part: Part, shard: Shard, subjects: Sequence[_Opened], cuts: Iterable[tuple[int, Cut]]
) -> Shard:
    """Writes one example at a time. `cuts` come with the index of their subject."""
    examples, size = 0, 0
    digest = hashlib.sha256()
    centres = [[0] * len(part.settings.classes) for _ in subjects if shard.kind == "patches"]
    temporary = part.folder / PROGRESS / f"{os.getpid()}-{shard.file}"
    with temporary.open("wb", BUFFER_BYTES) as file:
        for number, cut in cuts:
            subject = subjects[number]
            data = frame(example.encode(subject.name, cut, subject.statistics))
            digest.update(data)
            size += file.write(data)
            examples += 1
            if centres:
                middle = len(cut.label) // 2
                centres[number][cut.label[middle, middle]] += 1
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, part.folder / shard.file)
    return replace(
        shard,
        examples=examples,
        bytes=size,
        sha256=digest.hexdigest(),
        centres=tuple(map(tuple, centres)),
    )
