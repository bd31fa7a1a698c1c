"""Comparing every byte of a record set with its manifest."""

from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from tfrecords.errors import UserError
from tfrecords.files import checksum_holds
from tfrecords.records.manifest import FILE_NAME, REPAIR, Manifest, Shard, parse_manifest
from tfrecords.records.views import Volumes
from tfrecords.records.wire import bytes_feature, read_frames


def verify(folder: Path) -> Manifest:
    """The manifest of a record set that is whole, to the last byte.

    Raises:
        UserError: with all that is wrong.
    """
    manifest = parse_manifest(folder / FILE_NAME)
    found = faults(folder, manifest)
    if found:
        lines = "\n".join(f"  {fault}" for fault in found)
        raise UserError(
            f"{folder}: {len(found)} files are not as they should be. {REPAIR}:\n{lines}"
        )
    return manifest


def faults(folder: Path, manifest: Manifest) -> list[str]:
    """What is wrong with a record set, a sentence for each damaged or foreign file.

    Reads all of it.
    """
    found = []
    total = sum(shard.bytes for shard in manifest.shards)
    with tqdm(
        desc="Verifying", total=total, unit="B", unit_scale=True, dynamic_ncols=True, delay=1
    ) as progress:
        for shard in manifest.shards:
            found += [f"{folder / shard.file}: {fault}" for fault in _of_shard(folder, shard)]
            progress.update(shard.bytes)
    named = {shard.file for shard in manifest.shards}
    for path in sorted(folder.glob("*.tfrecord")):
        if path.name not in named:
            found.append(f"{path}: the manifest names no such shard")
    return found


def _of_shard(folder: Path, shard: Shard) -> Iterator[str]:
    path = folder / shard.file
    if not path.is_file():
        yield "no such file"
        return
    if not checksum_holds(path, shard.sha256):
        yield "checksum differs from the manifest's"
        return
    # What follows holds of all that preprocessing writes. A forged manifest may vouch for any file.
    try:
        with path.open("rb") as file:
            names = [bytes_feature(record, "subject").decode() for record in read_frames(file)]
    except (ValueError, KeyError) as error:
        yield f"expected TFRecords of examples, received others ({error})"
        return
    if len(names) != shard.examples:
        yield f"expected {shard.examples} examples, received {len(names)}"
    strangers = sorted(set(names) - set(shard.subjects))
    if strangers:
        yield f"expected examples of {shard.subjects} alone, received some of {strangers}"
    elif shard.kind == Volumes.kind and tuple(names) != shard.subjects:
        yield f"expected the volumes of {shard.subjects}, received those of {tuple(names)}"
