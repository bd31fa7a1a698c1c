"""Which shards there will be: from the sources and the settings alone, before anything is read."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from tfrecords.errors import UserError
from tfrecords.geometry.grid import Grid
from tfrecords.records import example, relations
from tfrecords.records.intensities import STATISTICS
from tfrecords.records.manifest import FORMAT_VERSION, Shard
from tfrecords.records.views import Cut, View, Volumes
from tfrecords.records.wire import frame
from tfrecords.sources.subject import UNLABELLED, LabelClass, Subject

# Of the volumes that a worker holds.
PART_BYTES = 96 * 2**20
# Of a training shard. Training reads several at once, each a mixture of its part's subjects, so
# that small ones let it see many subjects early in an epoch.
SHARD_BYTES = 64 * 2**20
# Of a part, written before its worker tells of progress; each time it reads the volumes anew.
JOB_SHARDS = 32
# Of shards' names: what an earlier run may have left, and nothing of anybody else's.
PATTERN = "*-fold*-of-*.tfrecord"
VOLUMES = Volumes()  # In every record set, whatever its view.


@dataclass(frozen=True)
class Source:
    """A checked subject, ready to be cut."""

    subject: Subject
    source: Grid
    working: Grid
    checksums: dict[str, str]


@dataclass(frozen=True)
class ShardSettings:
    """What, besides the sources, determines the bytes of shards."""

    view: View
    seed: int
    image_dtype: str
    channels: int
    classes: tuple[LabelClass, ...]
    ignored: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """Subjects of one fold and group, whose volumes one worker holds.

    Attributes:
        shards: those over which the training examples are dealt, then the one of whole volumes.
        missing: those of `shards` that are to be written.
    """

    folder: Path
    shards: tuple[Shard, ...]
    sources: tuple[Source, ...]
    settings: ShardSettings
    missing: tuple[Shard, ...]

    def jobs(self, written: Collection[str]) -> list["Part"]:
        """This part as several, each with at most JOB_SHARDS of the shards not yet written."""
        missing = [shard for shard in self.shards if shard.file not in written]
        starts = range(0, len(missing), JOB_SHARDS)
        return [replace(self, missing=tuple(missing[i : i + JOB_SHARDS])) for i in starts]


def plan(
    folder: Path, sources: Sequence[Source], folds: Mapping[str, str], settings: ShardSettings
) -> list[Part]:
    """Parts of about PART_BYTES; which subjects share one depends on nothing but the arguments.

    The bytes of their shards are what these will have at most.
    """
    buckets = defaultdict(list)
    for source in sorted(sources, key=lambda s: s.subject.name):
        buckets[folds[source.subject.name], source.subject.group].append(source)
    parts = []
    for (fold, group), bucket in sorted(buckets.items()):
        total = sum(_volume_bytes(source, settings) for source in bucket)
        count = min(len(bucket), -(-total // PART_BYTES))
        chosen = [tuple(bucket[number::count]) for number in range(count)]
        # Training examples are for training with labels: of other subjects, volumes alone.
        sizes = [[] if fold == UNLABELLED else _training_bytes(some, settings) for some in chosen]
        first, last = 0, sum(map(len, sizes))
        for number, (some, shares) in enumerate(zip(chosen, sizes, strict=True)):
            planned = partial(_planned_shard, fold, group, some, settings)
            training = [
                planned(settings.view.kind, (first + share, last), (share, len(shares)), size)
                for share, size in enumerate(shares)
            ]
            first += len(shares)
            volume_bytes = sum(_volume_bytes(source, settings) for source in some)
            volume = planned(VOLUMES.kind, (number, count), (0, 1), volume_bytes)
            shards = (*training, volume)
            parts.append(Part(folder, shards, some, settings, missing=shards))
    _require_names([shard for part in parts for shard in part.shards])
    return parts


def _require_names(shards: Sequence[Shard]) -> None:
    """Raises UserError where a shard's name is none, or two have one.

    That of fold 1-a and group b is that of fold 1 and group a-b.
    """
    places: dict[str, str] = {}
    for shard in shards:
        place = f"fold {shard.fold} and group {shard.group}"
        if not relations.FILE.fullmatch(shard.file):
            raise UserError(f"{place}: expected names without slashes. Rename them")
        if shard.file in places:
            raise UserError(
                "fold, group: expected names that tell shards apart, received "
                f"{places[shard.file]}, {place}: a shard of each would be called {shard.file}. "
                "Rename one of them"
            )
        places[shard.file] = place


def _volume_bytes(source: Source, settings: ShardSettings) -> int:
    return example_bytes(source, VOLUMES, settings)


def _training_bytes(sources: Sequence[Source], settings: ShardSettings) -> list[int]:
    """The size of each training shard of a part, at most: as many as SHARD_BYTES make of them.

    There are none where whole volumes are trained on: these are written anyway.
    """
    view = settings.view
    if view == VOLUMES:
        return []
    classes = len(settings.classes)
    examples = sum(view.examples(s.working.shape[::-1], classes) for s in sources)
    largest = max(example_bytes(source, view, settings) for source in sources)
    count = -(-examples * largest // SHARD_BYTES)
    return [len(range(share, examples, count)) * largest for share in range(count)]


def example_bytes(source: Source, view: View, settings: ShardSettings) -> int:
    """The size of an example in a file, at most: its arrays, and what describes them."""
    pixels, labels = view.voxels(source.working.shape[::-1])
    tiny = Cut(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1), np.uint8), (-1, -1, -1))
    statistics = np.zeros((settings.channels, len(STATISTICS)))
    described = len(frame(example.encode(source.subject.name, tiny, statistics)))
    # Large arrays' lengths take more bytes than tiny ones'; never more than this.
    described += 64
    pixel = np.dtype(settings.image_dtype).itemsize * settings.channels
    return described + pixels * pixel + labels


def _planned_shard(
    fold: str,
    group: str,
    sources: Sequence[Source],
    settings: ShardSettings,
    kind: str,
    place: tuple[int, int],
    share: tuple[int, int],
    size: int,
) -> Shard:
    """A shard at its place (number, count) in fold and group, with its share of the part."""
    content = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "share": share,
        "settings": {**asdict(settings), "view": settings.view.content},
        # By content and order, not by path: a moved dataset is the same dataset.
        "sources": [
            (s.subject.name, asdict(s.working), [*s.checksums.values(), *s.subject.channels])
            for s in sources
        ],
    }
    fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    subjects = tuple(s.subject.name for s in sources)
    file = f"{kind}-fold{fold}-{group}-{place[0]:05d}-of-{place[1]:05d}.tfrecord"
    return Shard(file, kind, fold, group, subjects, fingerprint, bytes=size)
