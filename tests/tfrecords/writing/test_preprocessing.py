"""Record sets are complete, deterministic, resumed and never half written."""

import os
import shutil
import subprocess
import sys
from collections import Counter, namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet, subject_volumes
from tfrecords.records.manifest import Manifest, load_manifest
from tfrecords.records.views import Patches, Slices, View, Volumes
from tfrecords.sources.subject import IGNORED, LabelClass
from tfrecords.writing import preprocessing, shards
from tfrecords.writing.preprocessing import Options

Preprocess = Callable[..., Manifest]
PATCHES = Patches(5, 3, 20)
BODY = (slice(0, 12), slice(0, 12), slice(1, 9))  # Of the small dataset.


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def make_old(folder: Path) -> None:
    for path in folder.iterdir():
        os.utime(path, ns=(1, 1))


def training_checksums(manifest: Manifest) -> set[str]:
    return {shard.sha256 for shard in manifest.shards if shard.kind == manifest.view.kind}


@pytest.fixture
def data(small_dataset: Callable[..., Any], tmp_path: Path) -> Any:
    return small_dataset(tmp_path / "data")


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_bytes(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though several work on one part."""
    monkeypatch.setattr("tfrecords.writing.parts.SHARD_BYTES", 8000)
    expected = preprocess_here(data.find(), tmp_path / "0", folds=3, view=PATCHES)
    assert max(Counter(s.subjects for s in expected.shards).values()) > 4
    monkeypatch.setattr("tfrecords.writing.parts.JOB_SHARDS", 2)
    for workers in (1, 2, 3):
        folder = tmp_path / str(workers)
        options = Options(view=PATCHES, folds=3, workers=workers)
        assert preprocessing.preprocess(data.find(), folder, options) == expected
        assert contents(folder) == contents(tmp_path / "0")


def test_returned_manifest_is_the_saved_one_and_nothing_else_stays(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    returned = preprocess_here(data.find(), tmp_path / "records")
    assert load_manifest(tmp_path / "records") == returned
    files = {shard.file for shard in returned.shards} | {"manifest.json"}
    assert set(contents(tmp_path / "records")) == files


def test_a_complete_record_set_is_left_alone(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    folder = tmp_path / "records"
    first = preprocess_here(data.find(), folder)
    make_old(folder)
    assert preprocess_here(data.find(), folder) == first
    assert set(times(folder).values()) == {1}


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_only_damaged_shards_are_written_anew(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, damage: str
) -> None:
    folder = tmp_path / "records"
    shard = preprocess_here(data.find(), folder).shards[2]
    expected = contents(folder)
    path = folder / shard.file
    make_old(folder)
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "truncate" else content[:-1] + b"?")
    preprocess_here(data.find(), folder)
    assert contents(folder) == expected
    rewritten = {name for name, ns in times(folder).items() if ns != 1}
    assert rewritten == {shard.file, "manifest.json"}


def test_another_seed_or_number_of_folds_replaces_every_shard(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    folder = tmp_path / "records"
    found = [preprocess_here(data.find(), folder, folds=3, view=PATCHES)]
    for options in ({"folds": 3, "seed": 1}, {"folds": 2, "seed": 1}):
        found.append(preprocess_here(data.find(), folder, view=PATCHES, **options))
        fresh = tmp_path / f"fresh_{options['folds']}"
        assert preprocess_here(data.find(), fresh, view=PATCHES, **options) == found[-1]
        assert contents(folder) == contents(fresh)
    assert not training_checksums(found[0]) & training_checksums(found[1])


def test_what_a_dataset_favours_is_kept(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    assert preprocess_here(data.find(), tmp_path / "plain").favoured == ()
    favouring = replace(data.find(), favoured=("low",))
    preprocess_here(favouring, tmp_path / "favouring")
    assert load_manifest(tmp_path / "favouring").favoured == ("low",)


def test_a_record_set_of_another_version_is_written_anew(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    folder = tmp_path / "records"
    preprocess_here(data.find(), folder)
    expected = contents(folder)
    (folder / "manifest.json").write_text('{"format_version": 0}')
    make_old(folder)
    preprocess_here(data.find(), folder)
    assert contents(folder) == expected
    assert 1 not in times(folder).values()


def test_foreign_files_in_the_folder_stay(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    for name in ("somebody.tfrecord", "notes.txt"):
        (folder / name).write_text("mine")
    preprocess_here(data.find(), folder)
    assert (folder / "somebody.tfrecord").read_text() == "mine"
    assert (folder / "notes.txt").read_text() == "mine"


def test_while_writing_there_is_no_manifest(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing reads a mixture of an old record set and a new one."""
    folder = tmp_path / "records"
    preprocess_here(data.find(), folder)
    seen = []
    write_part = shards.write_part

    def watched(part: Any) -> Any:
        seen.append((folder / "manifest.json").exists())
        return write_part(part)

    monkeypatch.setattr(shards, "write_part", watched)
    preprocess_here(data.find(), folder, seed=1)
    assert seen
    assert not any(seen)


def test_each_subject_is_in_one_fold_whatever_the_order(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    dataset = data.find()
    backwards = replace(dataset, subjects=dataset.subjects[::-1])
    found = [
        preprocess_here(chosen, tmp_path / name, folds=2, seed=5)
        for name, chosen in (("forwards", dataset), ("backwards", backwards))
    ]
    assert found[0].shards == found[1].shards
    for kind in ("slices", "volumes"):
        names = [n for s in found[0].select(kind, ["0", "1"]) for n in s.subjects]
        assert sorted(names) == [f"s{number}" for number in range(6)]
    groups = Counter((subject.fold, subject.group) for subject in found[0].subjects)
    assert groups == {("0", "high"): 2, ("0", "low"): 1, ("1", "high"): 2, ("1", "low"): 1}
    for subject in found[0].subjects:
        holding = [s for s in found[0].shards if subject.name in s.subjects]
        assert {(s.fold, s.group) for s in holding} == {(subject.fold, subject.group)}


def test_prescribed_folds_are_honoured(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    data.table["fold"] = ["train", "train", "test", "train", "test", "spare"]
    found = preprocess_here(data.find(), tmp_path / "records")
    assert found.folds == ("spare", "test", "train")
    assert {s.name: s.fold for s in found.subjects} == dict(
        zip(data.table["subject"], data.table["fold"], strict=True)
    )


def test_class_voxels_are_counted_in_the_label_maps(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    dataset = data.find()
    labels = np.stack([data.array(name, "label") for name in data.table["subject"]])
    found = preprocess_here(dataset, tmp_path / "all")
    assert [c.name for c in found.classes] == ["background", "label_1", "label_2"]
    assert found.class_voxels == tuple(int((labels == value).sum()) for value in range(3))
    united = (LabelClass("none", (0,)), LabelClass("some", (2, 1)))
    found = preprocess_here(replace(dataset, classes=united), tmp_path / "united")
    assert found.class_voxels == (int((labels == 0).sum()), int((labels > 0).sum()))


def give_room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])(10**9, 10**9 - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_a_disk_too_small_is_refused_and_nothing_is_lost(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "records"
    old = preprocess_here(data.find(), folder)
    before = contents(folder)
    give_room(monkeypatch, 1000)
    with pytest.raises(UserError) as error:
        preprocess_here(data.find(), folder, view=PATCHES)
    # Six subjects of 60 patches: 5 x 5 voxels of two int16 modalities, 3 x 3 labels; and volumes.
    arrays = 6 * (60 * (5 * 5 * 2 * 2 + 3 * 3) + 12 * 14 * 10 * (2 * 2 + 1))
    needed = int(str(error.value).split("expected ")[1].split()[0])
    assert arrays < needed < arrays + 6 * 61 * 400
    # The old shards of volumes have the new ones' names.
    free = 1000 + sum(shard.bytes for shard in old.select("volumes", old.folds))
    assert str(error.value).startswith(
        f"out_dir: {folder}: expected {needed} bytes free, which the shards take at most, "
        f"received {free}."
    )
    assert "fewer --patches_per_class" in str(error.value)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_room_is_needed_for_what_is_missing_alone(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "records"
    first = preprocess_here(data.find(), folder, view=PATCHES)
    give_room(monkeypatch, 0)
    assert preprocess_here(data.find(), folder, view=PATCHES) == first
    missing = first.shards[0]
    (folder / missing.file).unlink()
    with pytest.raises(UserError, match="bytes free"):
        preprocess_here(data.find(), folder, view=PATCHES)
    give_room(monkeypatch, int(1.5 * missing.bytes))
    assert preprocess_here(data.find(), folder, view=PATCHES) == first


def test_a_shard_written_anew_takes_the_place_of_the_old_one(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that its room counts as free."""
    folder = tmp_path / "records"
    first = preprocess_here(data.find(), folder, view=PATCHES)
    size = sum(shard.bytes for shard in first.shards)
    give_room(monkeypatch, int(0.5 * size))
    assert preprocess_here(data.find(), folder, view=PATCHES, seed=1).seed == 1


def test_one_floating_subject_makes_all_images_float16(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    path = data.path("s3", "t2")
    image = nib.Nifti1Image.from_filename(path)
    nib.Nifti1Image(image.get_fdata(dtype=np.float32), image.affine).to_filename(path)
    assert preprocess_here(data.find(), tmp_path / "records").image_dtype == "float16"


def test_a_file_in_place_of_the_folder_is_refused(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    (tmp_path / "records").write_text("")
    for folder in (tmp_path / "records", tmp_path / "records" / "deeper"):
        with pytest.raises(UserError, match="out_dir: expected a folder to write to"):
            preprocess_here(data.find(), folder)


def test_preprocessing_does_not_import_tensorflow() -> None:
    """The import would cost every worker seconds and hundreds of megabytes."""
    rooms = "tfrecords.writing.preprocessing, tfrecords.sources.phantom"
    script = f"import sys, {rooms}; print('tensorflow' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout == "False\n", result.stderr


@pytest.mark.parametrize("view", [Patches(5, 3, 20), Slices(), Volumes()], ids=str)
def test_ignored_labels_are_of_no_class(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, view: View
) -> None:
    """Of the same subjects, label 2 once a class and once ignored; classes found or known."""
    known = (LabelClass("background", (0,)), LabelClass("label_1", (1,)))
    plain = preprocess_here(data.find(), tmp_path / "plain", view=view)
    for classes in ((), known):
        dataset = replace(data.find(), classes=classes, ignored=(2,))
        found = preprocess_here(dataset, tmp_path / f"found{len(classes)}", view=view)
        assert (plain.ignored, found.ignored) == ((), (2,))
        assert found.classes == plain.classes[:2] == known
        assert found.class_voxels == plain.class_voxels[:2]
        for counts in found.patches().values():
            assert counts == (20, 20)
        volumes = subject_volumes(RecordSet(tmp_path / f"found{len(classes)}", found), found.folds)
        for volume in volumes:
            label = data.array(volume.subject, "label")[BODY].T
            np.testing.assert_array_equal(volume.label, np.where(label == 2, IGNORED, label))


def test_as_many_values_as_an_image_has_are_refused(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    values = np.resize(np.arange(256), (12, 14, 10)).astype(np.uint8)
    path = data.path("s0", "label")
    affine = nib.Nifti1Image.from_filename(path).affine
    nib.Nifti1Image(values, affine).to_filename(path)
    with pytest.raises(UserError, match="label values: expected at most 255, received 256"):
        preprocess_here(data.find(), tmp_path / "records")


def test_names_that_would_give_two_shards_one_file_are_refused(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    """Nobody could open such a record set."""
    data.table["group"] = ["a-b", "b", "a-b", "b", "b", "b"]
    data.table["fold"] = ["1", "1-a", "1", "1-a", "2", "2"]
    with pytest.raises(UserError, match=r"fold 1 and group a-b, fold 1-a and group b: .* Rename"):
        preprocess_here(data.find(), tmp_path / "records")
    assert not (tmp_path / "records").exists()
    data.table["fold"] = ["1", "3", "1", "3", "2", "2"]
    made = preprocess_here(data.find(), tmp_path / "records")
    assert load_manifest(tmp_path / "records") == made


def test_a_record_set_that_nobody_could_open_is_not_written(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    data.table.loc[0, "subject"] = "../s0"
    with pytest.raises(UserError, match=r"expected a name of 1 to 100 bytes .* received '../s0'"):
        preprocess_here(data.find(), tmp_path / "records")
    assert not (tmp_path / "records").exists()
