"""Whether what is planned fits: one example into its message, a volume into memory, all on disk."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from tfrecords.errors import SettingError
from tfrecords.memory import free_memory
from tfrecords.records import manifest
from tfrecords.records.views import Patches
from tfrecords.sources.subject import UNLABELLED
from tfrecords.writing.parts import SHARD_BYTES, VOLUMES, ShardSettings, Source, example_bytes

# Of a message of Protocol Buffers, which an example is.
EXAMPLE_BYTES = 2**31 - 1
SHARDS = 100_000  # Of a record set, at most: six terabytes.
LESS = (
    "Choose another --out_dir, or, of patches, fewer --patches_per_class or a smaller "
    "--patch_size, or a coarser --spacing"
)
REMEDIES = {
    "spacing": "Choose a coarser --spacing or a --crop",
    "patch_size": "Choose a smaller --patch_size",
}


def require_possible(
    folder: Path, sources: Sequence[Source], folds: Mapping[str, str], settings: ShardSettings
) -> None:
    """Refuses what cannot fit, from grids alone: planning a billion shards takes minutes.

    Raises:
        SettingError: an example, a volume in memory or the shards would be too large.
    """
    view = settings.view
    cuts = [(source, example_bytes(source, view, settings)) for source in sources]
    volumes = [(source, example_bytes(source, VOLUMES, settings)) for source in sources]
    for kind, found in (
        ("patch_size", cuts if isinstance(view, Patches) else []),
        ("spacing", volumes),
    ):
        source, largest = max(found, key=lambda pair: pair[1], default=(sources[0], 0))
        if largest > EXAMPLE_BYTES:
            raise SettingError(
                kind,
                f"expected examples of at most {EXAMPLE_BYTES} bytes, received {largest} of "
                f"{source.subject.name}, whose working grid is {source.working}. {REMEDIES[kind]}",
            )
    source, largest = max(volumes, key=lambda pair: pair[1])
    free = free_memory()
    # As resampled, and as stored.
    if free is not None and 2 * largest > free:
        raise SettingError(
            "spacing",
            f"expected volumes of which a worker can hold two, in {free} bytes of memory, received "
            f"{largest} bytes of {source.subject.name}, whose working grid is {source.working}. "
            + REMEDIES["spacing"],
        )
    total = sum(size for _, size in volumes)
    for source, size in [] if view == VOLUMES else cuts:
        if folds[source.subject.name] != UNLABELLED:
            total += size * view.examples(source.working.shape[::-1], len(settings.classes))
    disk = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    # What an earlier run left may be kept, so that the disk's free bytes tell nothing yet.
    most = min(shutil.disk_usage(disk).total, SHARDS * SHARD_BYTES)
    if total > most:
        raise SettingError(
            "out_dir",
            f"{folder}: expected at most {most} bytes, the disk's or those of {SHARDS} shards, "
            f"received {total}. {LESS}",
        )


def require_room(folder: Path, missing: Sequence[manifest.Shard]) -> None:
    """Says how large the missing shards will be at most.

    Raises:
        SettingError: they may not fit.
    """
    needed = sum(shard.bytes for shard in missing)
    logging.info(f"Writing {len(missing)} shards, at most {needed / 1e6:.1f} MB.")
    # A shard that is written anew takes the place of the one before.
    replaced = [path for shard in missing if (path := folder / shard.file).is_file()]
    free = shutil.disk_usage(folder).free + sum(path.stat().st_size for path in replaced)
    if needed > free:
        raise SettingError(
            "out_dir",
            f"{folder}: expected {needed} bytes free, which the shards take at most, "
            f"received {free}. {LESS}",
        )
