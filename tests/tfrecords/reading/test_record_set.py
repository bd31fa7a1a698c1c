"""A record set on disk."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

from tfrecords.errors import UserError
from tfrecords.files import file_checksum
from tfrecords.geometry.grid import make_grid
from tfrecords.geometry.nifti import read, write_label
from tfrecords.reading.record_set import (
    RecordSet,
    damage_named,
    label_in_body,
    open_record_set,
    subject_volumes,
)
from tfrecords.records.intensities import halve
from tfrecords.records.manifest import Manifest
from tfrecords.records.wire import frame, read_frames

Records = tuple[Any, Path]


@pytest.mark.parametrize(
    "options",
    [{}, {"crop": (9, 13, 10)}, {"spacing_mm": (1.5, 1.0, 2.0)}, {"orientation": "LPS"}],
    ids=str,
)
def test_a_label_file_lies_on_the_body_as_the_stored_label_map_does(
    small_dataset: Callable[..., Any],
    preprocess_here: Callable[..., Manifest],
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    """Also where the file holds its whole numbers as floats."""
    data = small_dataset(tmp_path / "data", subjects=2)
    preprocess_here(data.find(), tmp_path / "records", **options)
    records = open_record_set(tmp_path / "records")
    origins = {subject.name: subject for subject in records.manifest.subjects}
    for volume in subject_volumes(records, records.manifest.folds):
        image = nib.Nifti1Image.from_filename(data.path(volume.subject, "label"))
        path = tmp_path / "floats.nii.gz"
        nib.Nifti1Image(image.get_fdata(), image.affine).to_filename(path)
        found = label_in_body(path, volume, origins[volume.subject], records.manifest)
        assert found.dtype == np.uint8
        assert volume.position != (0, 0, 0)
        np.testing.assert_array_equal(found, volume.label)


def test_another_label_file_is_in_the_datasets_classes(
    small_records: tuple[Any, Path], tmp_path: Path
) -> None:
    """Values of the source become indices; what lies beside the body is left away."""
    records = open_record_set(small_records[1])
    origin = records.manifest.subjects[0]
    (volume,) = (v for v in subject_volumes(records, [origin.fold]) if v.subject == origin.name)
    source = next(path for path in origin.files if path.endswith("label.nii.gz"))
    label = np.zeros(read(Path(source))[0].shape, np.uint8)
    label[0, 0, 0] = 2
    label[4, 5, 6] = 1
    write_label(tmp_path / "label.nii.gz", label, Path(source))
    found = label_in_body(tmp_path / "label.nii.gz", volume, origin, records.manifest)
    (place,) = np.argwhere(found)
    assert tuple(place + volume.position) == (6, 5, 4)
    assert found[tuple(place)] == 1


@pytest.mark.parametrize(
    ("value", "shift_mm", "message"),
    [(7, 0, r"unknown labels \[7\]"), (0.5, 0, "not whole numbers"), (1, 3, "expected the grid")],
)
def test_label_files_that_mean_nothing_here_are_refused(
    small_records: tuple[Any, Path], tmp_path: Path, value: float, shift_mm: int, message: str
) -> None:
    """What comparisons and pictures read of runs' predictions."""
    records = open_record_set(small_records[1])
    origin = records.manifest.subjects[0]
    volume = next(subject_volumes(records, [origin.fold]))
    label = np.zeros(origin.source.shape, np.float32)
    label[4, 5, 6] = value
    affine = origin.source.matrix
    affine[0, 3] += shift_mm
    path = tmp_path / "label.nii.gz"
    nib.Nifti1Image(label, affine).to_filename(path)
    with pytest.raises(UserError, match=f"^{path}: .*{message}"):
        label_in_body(path, volume, origin, records.manifest)


@pytest.mark.parametrize("floating", [False, True])
def test_subject_volumes_are_the_sources_bodies(
    small_dataset: Callable[..., Any],
    tmp_path: Path,
    preprocess_here: Callable[..., Manifest],
    floating: bool,
) -> None:
    """In RAS+, whatever the source's orientation."""
    data = small_dataset(tmp_path / "data", 4)
    for name in ("s1", "s2"):
        for column in ("t1", "t2", "label"):
            image = nib.Nifti1Image.from_filename(data.path(name, column))
            turn = nib.orientations.axcodes2ornt("PIL")
            array = np.asarray(image.as_reoriented(turn).dataobj)
            if floating and column != "label":
                array = array.astype(np.float32) * 50.5
            turned = image.as_reoriented(turn)
            nib.Nifti1Image(array, turned.affine).to_filename(data.path(name, column))
    preprocess_here(data.find(), tmp_path / "records")
    records = open_record_set(tmp_path / "records")
    found = {volume.subject: volume for volume in subject_volumes(records, ("0", "1"))}
    assert set(found) == {"s0", "s1", "s2", "s3"}
    body = (slice(1, 9), slice(0, 12), slice(0, 12))
    for name, volume in found.items():
        assert volume.position == (1, 0, 0)
        assert volume.image.dtype == (np.float16 if floating else np.int16)
        files = [nib.Nifti1Image.from_filename(data.path(name, m)) for m in ("t1", "t2")]
        channels = [nib.as_closest_canonical(file).get_fdata().T[body] for file in files]
        expected = np.stack(channels, axis=-1)
        if floating:
            expected = halve(expected)
        np.testing.assert_array_equal(volume.image, expected)
        label = nib.as_closest_canonical(nib.Nifti1Image.from_filename(data.path(name, "label")))
        np.testing.assert_array_equal(volume.label, np.asarray(label.dataobj).T[body])


def test_subject_volumes_of_a_fold_are_its_subjects_alone(records: RecordSet) -> None:
    for fold in records.manifest.folds:
        found = [volume.subject for volume in subject_volumes(records, (fold,))]
        assert sorted(found) == [s.name for s in records.manifest.subjects if s.fold == fold]
    assert list(subject_volumes(records, ())) == []


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_flipped_byte_is_found_while_reading_and_the_shard_named(copy: Path) -> None:
    records = open_record_set(copy)
    shard = records.manifest.select("slices", ("1",))[0]
    flip_byte(copy / shard.file)
    with pytest.raises(UserError) as error, damage_named(records):
        list(tf.data.TFRecordDataset(records.paths([shard])))
    assert str(error.value).startswith(f"{copy / shard.file}: checksum differs")
    assert "launch/preprocess.py again" in str(error.value)


def test_a_flipped_byte_in_a_volume_is_found(copy: Path) -> None:
    records = open_record_set(copy)
    shard = records.manifest.select("volumes", ("0",))[0]
    flip_byte(copy / shard.file)
    with pytest.raises(UserError, match=shard.file):
        list(subject_volumes(records, records.manifest.folds))


def exchange(copy: Path, first: str, second: str) -> None:
    os.replace(copy / first, copy / "x")
    os.replace(copy / second, copy / first)
    os.replace(copy / "x", copy / second)


def vouched_for(records: RecordSet, file: str) -> RecordSet:
    """As if the manifest had the checksum and size of the shard that is there now."""
    path = records.folder / file
    known = {"sha256": file_checksum(path), "bytes": path.stat().st_size}
    shards = [replace(s, **known) if s.file == file else s for s in records.manifest.shards]
    return RecordSet(records.folder, replace(records.manifest, shards=tuple(shards)))


def test_exchanged_volumes_are_refused(copy: Path) -> None:
    """Of equal size: a test subject would be validated on, or trained on."""
    records = open_record_set(copy)
    first, second = (
        next(s for s in records.manifest.select("volumes", [fold]) if s.group == "high")
        for fold in ("1", "2")
    )
    assert first.bytes == second.bytes
    exchange(copy, first.file, second.file)
    records = open_record_set(copy)
    with pytest.raises(UserError) as error:
        list(subject_volumes(records, ["1"]))
    assert str(error.value).startswith(f"{copy / first.file}: expected the volume of ")
    assert f"received {second.subjects[0]} in {first.file}: the shard was exchanged" in str(
        error.value
    )
    assert "launch/preprocess.py again" in str(error.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r"expected the volume of {0}, .*received no more"),
        ((0, 0), r"expected the volume of {1}, .*received {0} in"),
        ((1, 0), r"expected the volume of {0}, .*received {1} in"),
        ((0, 1, 1), r"expected the volume of no other subject, .*received {1} in"),
        ((0,), r"expected the volume of {1}, .*received no more"),
    ],
)
def test_every_listed_volume_comes_once_and_in_order(
    small_records: Records, copy: Path, names: tuple[int, ...], message: str
) -> None:
    records = open_record_set(copy)
    shard = next(s for s in records.manifest.select("volumes", "012") if len(s.subjects) == 2)
    with (copy / shard.file).open("rb") as file:
        held = list(read_frames(file))
    (copy / shard.file).write_bytes(b"".join(frame(held[place]) for place in names))
    with pytest.raises(UserError, match=message.format(*shard.subjects)):
        list(subject_volumes(vouched_for(records, shard.file), [shard.fold]))


def test_volumes_of_another_grid_are_refused(copy: Path) -> None:
    """Of the same subjects, from a record set that was made otherwise."""
    records = open_record_set(copy)
    subjects = [
        replace(s, working=make_grid((12, 14, 5), s.working.matrix))
        for s in records.manifest.subjects
    ]
    other = RecordSet(copy, replace(records.manifest, subjects=tuple(subjects)))
    with pytest.raises(UserError, match=r"received a volume of another grid: .* exchanged"):
        list(subject_volumes(other, ["0"]))


def test_a_shard_that_goes_while_it_is_read_is_named(copy: Path) -> None:
    records = open_record_set(copy)
    shard = records.manifest.select("volumes", ["2"])[0]
    (copy / shard.file).unlink()
    with pytest.raises(UserError) as error:
        list(subject_volumes(records, records.manifest.folds))
    assert str(error.value).startswith(f"{copy / shard.file}: no such file. Run launch/")


def test_errors_of_another_cause_pass_through(records: RecordSet) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError), damage_named(records):
        tf.debugging.assert_equal(1, 2)


def test_what_is_no_whole_record_set_is_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a record set"):
        open_record_set(tmp_path)
    shard = open_record_set(copy).manifest.shards[0]
    path = copy / shard.file
    path.write_bytes(path.read_bytes()[: shard.bytes // 2])
    with pytest.raises(UserError, match=f"{shard.file}: expected {shard.bytes} bytes"):
        open_record_set(copy)
    manifest = copy / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": 99}))
    with pytest.raises(UserError, match="expected format version"):
        open_record_set(copy)
