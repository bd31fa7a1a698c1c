"""What the options of preprocessing do to a record set."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

from tfrecords.errors import UserError
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.batches import training_batches
from tfrecords.reading.parsing import parse
from tfrecords.reading.recipe import Recipe
from tfrecords.reading.record_set import open_record_set
from tfrecords.records.manifest import Manifest, load_manifest
from tfrecords.records.views import Patches, Slices
from tfrecords.sources.subject import LabelClass, select_modalities

Preprocess = Callable[..., Manifest]
PATCHES = Patches(5, 3, 20)


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.fixture
def data(small_dataset: Callable[..., Any], tmp_path: Path) -> Any:
    return small_dataset(tmp_path / "data")


def edit_label(data: Any, subject: str, edit: Callable[[np.ndarray], None]) -> None:
    """Changes a label map [X, Y, Z] on disk."""
    path = data.path(subject, "label")
    image = nib.Nifti1Image.from_filename(path)
    array = np.asarray(image.dataobj).copy()
    edit(array)
    nib.Nifti1Image(array, image.affine).to_filename(path)


def outside_the_body(array: np.ndarray) -> None:
    array[0, 13, 5] = 3


def on_one_voxel(array: np.ndarray) -> None:
    array[1, 1, 2] = 3


def of_a_single_class(array: np.ndarray) -> None:
    array[array == 2] = 1


@pytest.mark.parametrize(
    ("spacing_mm", "classes_of"),
    [
        (None, {"s0": {0, 1, 2}, "s1": {0, 1, 2, 3}, "s2": {0, 1}}),
        # Every voxel stands for eight, and takes the class of the largest share among them.
        ((2.0, 2.0, 4.0), {"s0": {0, 1}, "s1": {0, 1}, "s2": {0, 1}}),
    ],
)
def test_manifest_tells_the_patches_drawn_and_so_the_classes_that_subjects_lack(
    data: Any,
    tmp_path: Path,
    preprocess_here: Preprocess,
    spacing_mm: tuple[float, float, float] | None,
    classes_of: dict[str, set[int]],
) -> None:
    edit_label(data, "s0", outside_the_body)
    edit_label(data, "s1", on_one_voxel)
    edit_label(data, "s2", of_a_single_class)
    folder = tmp_path / "records"
    found = preprocess_here(data.find(), folder, view=PATCHES, spacing_mm=spacing_mm)
    assert len(found.classes) == 4
    drawn: Counter[tuple[str, int]] = Counter()
    for shard in found.select("patches", found.folds):
        for record in tf.data.TFRecordDataset(str(folder / shard.file)):
            parsed = parse(record, "int16", 2, 2)
            drawn[parsed.subject.numpy().decode(), int(parsed.label[1, 1])] += 1
    assert found.patches() == {
        subject.name: tuple(drawn[subject.name, index] for index in range(4))
        for subject in found.subjects
    }
    for name, classes in classes_of.items():
        assert found.patches()[name] == tuple(20 * (index in classes) for index in range(4))


def test_patches_told_by_kept_shards_are_those_of_the_first_run(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    folder = tmp_path / "records"
    first = preprocess_here(data.find(), folder, view=PATCHES)
    (folder / first.shards[0].file).unlink()
    assert preprocess_here(data.find(), folder, view=PATCHES) == first


def test_manifest_describes_the_working_grids(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    found = preprocess_here(data.find(), tmp_path / "own")
    assert (found.spacing_mm, found.wanted_spacing_mm) == ((1, 1, 2), None)
    assert (found.orientation, found.largest_shape, found.image_dtype) == (
        "RAS",
        (10, 14, 12),
        "int16",
    )
    found = preprocess_here(
        data.find(), tmp_path / "other", orientation="PSR", spacing_mm=(2.0, 1.0, 1.0)
    )
    # Along P: 14 mm at 2 mm; along S: 20 mm at 1 mm; along R: 12 mm at 1 mm.
    assert found.largest_shape == (12, 20, 7)
    assert (found.orientation, found.spacing_mm, found.wanted_spacing_mm) == (
        "PSR",
        (2, 1, 1),
        (2, 1, 1),
    )
    assert found.subjects[0].working.orientation == "PSR"
    assert found.subjects[0].source.orientation == "RAS"


def test_slices_alone_are_resampled_where_the_third_spacing_is_0(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    folder = tmp_path / "records"
    found = preprocess_here(data.find(), folder, spacing_mm=(0.5, 0.5, 0.0))
    assert found.largest_shape == (10, 28, 24)
    assert (found.spacing_mm, found.wanted_spacing_mm) == ((0.5, 0.5, 2), (0.5, 0.5, 0))
    assert load_manifest(folder) == found
    for shard in found.select("slices", found.folds):
        for record in tf.data.TFRecordDataset(str(folder / shard.file)):
            parsed = parse(record, "int16", 2, 2)
            source = data.array(parsed.subject.numpy().decode(), "label")
            expected = source[:, :, int(parsed.position[0])].T.repeat(2, 0).repeat(2, 1)
            np.testing.assert_array_equal(parsed.label, expected)


def zs_of(folder: Path, manifest: Manifest, kind: str) -> dict[str, tuple[int, ...]]:
    """The slices (z) of each subject's examples of a kind."""
    found: dict[str, list[int]] = {}
    for shard in manifest.select(kind, manifest.folds):
        for record in tf.data.TFRecordDataset(str(folder / shard.file)):
            parsed = parse(record, "int16", 2 if kind == "slices" else 3, 2)
            first = int(parsed.position[0])
            depth = 1 if kind == "slices" else parsed.image.shape[0]
            zs = found.setdefault(parsed.subject.numpy().decode(), [])
            zs += range(first, first + depth)
    return {name: tuple(sorted(zs)) for name, zs in found.items()}


@pytest.mark.slow
def test_slices_without_foreground_are_left_out_of_training_alone(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where shards stay empty: they are planned for all slices."""
    monkeypatch.setattr("tfrecords.writing.parts.SHARD_BYTES", 2000)
    edit_label(data, "s5", lambda array: array.fill(0))
    # Then 1 alone is foreground, which lies in z 2 to 7.
    classes = (LabelClass("background", (0, 2)), LabelClass("a", (1,)))
    dataset = replace(data.find(), classes=classes)
    folder = tmp_path / "records"
    found = preprocess_here(dataset, folder, view=Slices(foreground=True))
    assert load_manifest(folder) == found
    assert found.view == Slices(foreground=True)
    names = [f"s{number}" for number in range(6)]
    assert zs_of(folder, found, "slices") == dict.fromkeys(names[:5], tuple(range(2, 8)))
    assert zs_of(folder, found, "volumes") == dict.fromkeys(names, tuple(range(1, 9)))
    empty = [shard for shard in found.shards if not shard.examples]
    assert empty
    assert all((folder / shard.file).read_bytes() == b"" for shard in empty)
    for path in folder.iterdir():
        os.utime(path, ns=(1, 1))
    assert preprocess_here(dataset, folder, view=Slices(foreground=True)) == found
    assert set(times(folder).values()) == {1}
    records = open_record_set(folder)
    recipe = Recipe(Slices(), (14, 12), 6, "z_score", Augmentation())
    batches = training_batches(records, found.folds, recipe, 0, range(1), 5)
    assert all((batch["label"].numpy() == 1).any(axis=(1, 2)).all() for batch in batches)


def test_groups_that_only_train_leave_the_others_as_they_are(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    dataset = data.find()
    found = preprocess_here(dataset, tmp_path / "all", training_only=("low",))
    assert found.folds == ("0", "1", "training")
    assert found.held_out_folds == ("0", "1")
    folds = {subject.name: subject.fold for subject in found.subjects}
    assert {name for name, fold in folds.items() if fold == "training"} == {"s2", "s5"}
    high = replace(dataset, subjects=tuple(s for s in dataset.subjects if s.group == "high"))
    alone = preprocess_here(high, tmp_path / "high")
    others = tuple(shard for shard in found.shards if shard.fold != "training")
    assert others == alone.shards
    (slices,) = found.select("slices", ["training"])
    assert (slices.subjects, slices.examples) == (("s2", "s5"), 16)


def test_an_unknown_group_is_refused_before_anything_is_read(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    data.path("s0", "t1").unlink()
    message = "training_only: expected some of the groups high,low of --dataset table, received "
    with pytest.raises(UserError, match=f"^{message}lesion_free$"):
        preprocess_here(data.find(), tmp_path / "records", training_only=("lesion_free",))


def test_crop_is_cut_before_anything_else(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    folder = tmp_path / "records"
    preprocess_here(data.find(), folder)
    found = preprocess_here(data.find(), folder, crop=(5, 20, 7))
    assert found.largest_shape == (7, 14, 5)
    for subject in found.subjects:
        assert subject.source.shape == (12, 14, 10)
        assert subject.working.shape == (5, 14, 7)
    # The seven slices at z 1 to 7, all of which the body crosses.
    assert sum(s.examples for s in found.select("slices", found.folds)) == 6 * 7
    for shard in found.select("volumes", found.folds):
        for record in tf.data.TFRecordDataset(str(folder / shard.file)):
            parsed = parse(record, "int16", 3, 2)
            name = parsed.subject.numpy().decode()
            arrays = np.stack([data.array(name, m) for m in ("t1", "t2", "label")], axis=-1)
            expected = arrays[3:8, 0:12, 1:8].transpose(2, 1, 0, 3)
            np.testing.assert_array_equal(parsed.image, expected[..., :2])
            np.testing.assert_array_equal(parsed.label, expected[..., 2])


@pytest.mark.parametrize("single", [False, True])
def test_modalities_can_be_left_out_and_ordered(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, single: bool
) -> None:
    """Also where one file holds all: its checksum does not tell which of them are stored."""
    dataset = data.find()
    if single:
        for subject in dataset.subjects:
            both = np.stack([data.array(subject.name, m) for m in ("t1", "t2")], axis=-1)
            affine = nib.Nifti1Image.from_filename(subject.images[0]).affine
            nib.Nifti1Image(both, affine).to_filename(subject.images[0].with_name("both.nii"))
        one_file = (
            replace(s, images=(s.images[0].with_name("both.nii"),)) for s in dataset.subjects
        )
        dataset = replace(dataset, subjects=tuple(one_file))
    folder = tmp_path / "records"
    expected = {n: [data.array(n, m)[:, 0:12, 1:9].T for m in ("t1", "t2")] for n in ("s0", "s5")}
    for modalities in (("t1", "t2"), ("t2", "t1"), ("t2",), ("t1",)):
        found = preprocess_here(select_modalities(dataset, modalities), folder)
        assert found.modalities == modalities
        for shard in found.select("volumes", found.folds):
            for record in tf.data.TFRecordDataset(str(folder / shard.file)):
                parsed = parse(record, "int16", 3, len(modalities))
                if (name := parsed.subject.numpy().decode()) in expected:
                    image = [expected[name][("t1", "t2").index(m)] for m in modalities]
                    np.testing.assert_array_equal(parsed.image, np.stack(image, axis=-1))


def test_a_missing_file_of_a_modality_that_is_left_out_does_no_harm(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    data.path("s3", "t1").unlink()
    found = preprocess_here(select_modalities(data.find(), ["t2"]), tmp_path / "records")
    assert len(found.subjects) == 6


@pytest.mark.parametrize("value", [0, 7])
def test_a_modality_of_which_the_crop_leaves_nothing_is_refused(
    data: Any, preprocess_here: Preprocess, tmp_path: Path, value: int
) -> None:
    """The source as a whole is not empty; the exported model would refuse what is left."""
    path = data.path("s4", "t2")
    image = nib.Nifti1Image.from_filename(path)
    array = np.asarray(image.dataobj).copy()
    array[3:9, 4:10] = value
    nib.Nifti1Image(array, image.affine).to_filename(path)
    with pytest.raises(UserError, match=r"s4: modality 2 is empty .*another --crop.*t2\.nii\.gz"):
        preprocess_here(data.find(), tmp_path / "records", crop=(4, 4, 4))
    preprocess_here(data.find(), tmp_path / "records", crop=(8, 4, 4))
