"""Writing shards: atomically, in an order that depends on the seed alone, resuming after a kill."""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from tfrecords import example, scan, views, volumes
from tfrecords.checksums import checksum_holds
from tfrecords.manifest import FORMAT_VERSION, Shard, write_json
from tfrecords.statistics import foreground_statistics
from tfrecords.subject import LabelClass, Subject, class_indices
from tfrecords.views import View
from tfrecords.volumes import Grid
from tfrecords.wire import frame

# A part is held in memory by the worker that writes it.
PART_BYTES = 96 * 2**20
PROGRESS = ".progress"
# Of shards' names: what an earlier run may have left, and nothing of anybody else's.
PATTERN = "*-fold*-of-*.tfrecord"


@dataclass(frozen=True)
class Source:
    """A checked subject, ready to be cut."""

    subject: Subject
    source: Grid
    working: Grid
    checksums: dict[str, str]


@dataclass(frozen=True)
class Settings:
    """What, besides the sources, determines the bytes of shards."""

    view: View
    seed: int
    image_dtype: str
    channels: int
    classes: tuple[LabelClass, ...]


@dataclass(frozen=True)
class Part:
    """Subjects of one fold and group, written together: their training view and their volumes."""

    folder: Path
    shards: tuple[Shard, ...]
    sources: tuple[Source, ...]
    settings: Settings


def plan(
    folder: Path, sources: Sequence[Source], folds: Mapping[str, str], settings: Settings
) -> list[Part]:
    """Parts of about PART_BYTES; which subjects share one depends on nothing but the arguments."""
    buckets = defaultdict(list)
    for source in sorted(sources, key=lambda s: s.subject.name):
        buckets[folds[source.subject.name], source.subject.group].append(source)
    parts = []
    for (fold, group), bucket in sorted(buckets.items()):
        total = sum(_estimated_bytes(source, settings) for source in bucket)
        count = min(len(bucket), -(-total // PART_BYTES))
        for number in range(count):
            chosen = tuple(bucket[number::count])
            name = f"fold{fold}-{group}-{number:05d}-of-{count:05d}.tfrecord"
            shards = tuple(
                _planned_shard(kind, name, fold, group, chosen, settings)
                for kind in dict.fromkeys((settings.view.kind, "volumes"))
            )
            parts.append(Part(folder, shards, chosen, settings))
    return parts


def _estimated_bytes(source: Source, settings: Settings) -> int:
    voxel = np.dtype(settings.image_dtype).itemsize * settings.channels + 1
    volume = int(np.prod(source.working.shape)) * voxel
    if settings.view.kind == "volumes":
        return volume
    size = 2 * volume  # Its slices, and the volume itself.
    if settings.view.kind == "patches":
        patch = settings.view.patch_size**2 * settings.view.patches_per_class
        size = volume + patch * voxel * len(settings.classes)
    return size


def _planned_shard(
    kind: str, name: str, fold: str, group: str, sources: Sequence[Source], settings: Settings
) -> Shard:
    content = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "settings": asdict(settings),
        # By content and order, not by path: a moved dataset is the same dataset.
        "sources": [
            (s.subject.name, asdict(s.working), list(s.checksums.values())) for s in sources
        ],
    }
    fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    subjects = tuple(s.subject.name for s in sources)
    return Shard(f"{kind}-{name}", kind, fold, group, subjects, fingerprint)


def finished(part: Part) -> tuple[Shard, ...] | None:
    """The part's shards as written by an earlier run, if every checksum holds."""
    written = [_finished_shard(part.folder, shard) for shard in part.shards]
    return tuple(s for s in written if s) if all(written) else None


def _finished_shard(folder: Path, planned: Shard) -> Shard | None:
    record = folder / PROGRESS / f"{planned.file}.json"
    if not record.is_file():
        return None
    known = json.loads(record.read_text())
    shard = replace(planned, **{key: known[key] for key in ("examples", "bytes", "sha256")})
    if known["fingerprint"] != planned.fingerprint:
        return None
    return shard if checksum_holds(folder / planned.file, shard.sha256) else None


def note_progress(folder: Path, shards: Iterable[Shard]) -> None:
    """Remembers finished shards, so that a run after a kill keeps them."""
    (folder / PROGRESS).mkdir(exist_ok=True)
    for shard in shards:
        write_json(folder / PROGRESS / f"{shard.file}.json", asdict(shard))


def write_part(part: Part) -> tuple[Shard, ...]:
    """Writes a part's shards and notes them. Memory: the part's examples."""
    records: dict[str, list[bytes]] = {shard.kind: [] for shard in part.shards}
    for source in part.sources:
        image, label = load(source, part.settings)
        statistics = foreground_statistics(image)
        name = source.subject.name
        for kind, serialised in records.items():
            random = np.random.default_rng([part.settings.seed, *name.encode()])
            view = replace(part.settings.view, kind=kind)
            for cut in views.cut(view, image, label, random):
                serialised.append(example.encode(name, cut, statistics))
    shards = tuple(_write(part.folder, s, records[s.kind], part.settings) for s in part.shards)
    note_progress(part.folder, shards)
    return shards


def load(source: Source, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """A subject on its working grid: the image as stored [Z, Y, X, C], class indices [Z, Y, X]."""
    array, grid = scan.load_image(source.subject, settings.channels)
    label, _ = volumes.read(source.subject.label)
    image = np.stack(
        [
            volumes.to_working(array[..., c], grid, source.working, label=False)
            for c in range(array.shape[-1])
        ],
        axis=-1,
    )
    if settings.image_dtype == "float16":
        image = volumes.halve(image)
    indices = class_indices(np.rint(label).astype(np.int64), settings.classes)
    return (
        image.astype(settings.image_dtype, copy=False),
        volumes.to_working(indices, grid, source.working, label=True),
    )


def _write(folder: Path, shard: Shard, records: list[bytes], settings: Settings) -> Shard:
    """Volumes keep the subjects' order; training examples are mixed over the part's subjects."""
    if shard.kind == settings.view.kind:
        order = np.random.default_rng(settings.seed).permutation(len(records))
        records = [records[index] for index in order]
    digest = hashlib.sha256()
    size = 0
    temporary = folder / PROGRESS / f"{os.getpid()}-{shard.file}"
    with temporary.open("wb") as file:
        for record in records:
            data = frame(record)
            digest.update(data)
            size += file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / shard.file)
    return replace(shard, examples=len(records), bytes=size, sha256=digest.hexdigest())
