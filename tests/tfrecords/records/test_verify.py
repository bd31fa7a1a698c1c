"""Damaged, exchanged, missing and foreign files of a record set, all of them named."""

import hashlib
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tfrecords.errors import UserError
from tfrecords.records.manifest import Manifest, Shard, load_manifest
from tfrecords.records.verify import faults, verify
from tfrecords.records.wire import encode_example, frame


@pytest.fixture
def copy(small_records: tuple[Any, Path], tmp_path: Path) -> Path:
    """A record set to damage."""
    return Path(shutil.copytree(small_records[1], tmp_path / "records"))


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_whole_record_set_is_verified(small_records: tuple[Any, Path]) -> None:
    assert verify(small_records[1]) == load_manifest(small_records[1])


def test_every_damaged_file_is_named(copy: Path) -> None:
    first, second, third, fourth, *_ = load_manifest(copy).shards
    flip_byte(copy / first.file)
    (copy / second.file).unlink()
    os.replace(copy / third.file, copy / "x")
    os.replace(copy / fourth.file, copy / third.file)
    os.replace(copy / "x", copy / fourth.file)
    (copy / "old.tfrecord").write_bytes(b"")
    with pytest.raises(UserError) as error:
        verify(copy)
    head, *lines = str(error.value).splitlines()
    assert head.startswith(f"{copy}: 5 files are not as they should be. Run launch/preprocess.py")
    assert lines == [
        f"  {copy / first.file}: checksum differs from the manifest's",
        f"  {copy / second.file}: no such file",
        f"  {copy / third.file}: checksum differs from the manifest's",
        f"  {copy / fourth.file}: checksum differs from the manifest's",
        f"  {copy / 'old.tfrecord'}: the manifest names no such shard",
    ]


def test_an_edited_manifest_vouches_for_nothing(copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_text(path.read_text().replace('"RAS"', '"LPS"'))
    with pytest.raises(UserError, match="the file was edited or damaged"):
        verify(copy)
    with pytest.raises(UserError, match="no such file; expected a record set"):
        verify(copy / "nowhere")


def written(copy: Path, number: int, content: bytes, **changes: Any) -> Manifest:
    """A manifest that vouches for other content of one of its shards."""
    manifest = load_manifest(copy)
    shard = manifest.shards[number]
    (copy / shard.file).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    changed = replace(shard, sha256=sha256, bytes=len(content), **changes)
    return replace(manifest, shards=tuple(changed if s is shard else s for s in manifest.shards))


def of_kind(copy: Path, kind: str) -> tuple[int, Shard]:
    shards = load_manifest(copy).shards
    return next((n, s) for n, s in enumerate(shards) if s.kind == kind and len(s.subjects) > 1)


def example(subject: str, label: bytes = b"\0\1\2") -> bytes:
    return frame(encode_example({"image": b"x", "label": label, "subject": subject.encode()}))


@pytest.mark.parametrize(
    ("kind", "names", "message"),
    [
        ("slices", lambda own: [own[0]], "expected 16 examples, received 1"),
        ("slices", lambda own: ["s9"] * 16, r"example 0: expected one of s\d, received one of s9"),
        ("volumes", lambda own: own[::-1], r"example 0: expected one of s\d, received one of s\d"),
        ("volumes", lambda own: [own[0]] * 2, "example 1: expected one of"),
    ],
)
def test_what_a_forged_manifest_vouches_for_is_read(
    copy: Path, kind: str, names: Any, message: str
) -> None:
    number, shard = of_kind(copy, kind)
    content = b"".join(map(example, names(list(shard.subjects))))
    found = faults(copy, written(copy, number, content))
    assert all(fault.startswith(f"{copy / shard.file}: ") for fault in found)
    assert re.search(message, " ".join(found))


@pytest.mark.parametrize(
    "content", [b"no records", example("s0")[:-3], frame(b"no example"), example("s0") + b"\0" * 16]
)
def test_what_are_no_records_is_named(copy: Path, content: bytes) -> None:
    (fault,) = faults(copy, written(copy, 0, content))
    assert "expected TFRecords of examples, received others" in fault


def test_classes_are_those_of_the_labels(copy: Path) -> None:
    number, shard = of_kind(copy, "volumes")
    content = [example(name) for name in shard.subjects]
    manifest = written(copy, number, b"".join(content))
    assert faults(copy, manifest) == []
    manifest.save(copy)
    content[1] = example(shard.subjects[1], label=b"\0\2\2")
    (fault,) = faults(copy, written(copy, number, b"".join(content)))
    assert "example 1: expected the classes that the manifest lists, received others" in fault
