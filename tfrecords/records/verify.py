"""Comparing every byte of a record set with its manifest."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfrecords.errors import UserError
from tfrecords.files import checksum_holds
from tfrecords.records.contents import contents_of, held
from tfrecords.records.manifest import FILE_NAME, REPAIR, Manifest, Shard, parse_manifest
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
            found = [_seen(record, len(shard.holds)) for record in read_frames(file)]
    except (ValueError, KeyError) as error:
        yield f"expected TFRecords of examples, received others ({error})"
        return
    if len(found) != shard.examples:
        yield f"expected {shard.examples} examples, received {len(found)}"
        return
    listed = contents_of(shard)
    for number, (name, holds) in enumerate(found):
        owner = shard.subjects[listed.owners[number]]
        if name != owner:
            yield f"example {number}: expected one of {owner}, received one of {name}"
            return
        if (holds != listed.holds[number]).any():
            yield f"example {number}: expected the classes that the manifest lists, received others"
            return


def _seen(record: bytes, classes: int) -> tuple[str, np.ndarray]:
    """Whose example it is, and which classes it holds."""
    label = np.frombuffer(bytes_feature(record, "label"), np.uint8)
    return bytes_feature(record, "subject").decode(), held(label, classes)
