"""Subjects without a label map, from their files to the record set."""

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
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.batches import training_batches
from tfrecords.reading.parsing import parse
from tfrecords.reading.recipe import Recipe
from tfrecords.reading.record_set import open_record_set
from tfrecords.records.intensities import foreground_statistics
from tfrecords.records.manifest import Manifest, load_manifest
from tfrecords.records.views import Patches, Slices, View, Volumes
from tfrecords.writing import shards

Preprocess = Callable[..., Manifest]
PATCHES = Patches(5, 3, 20)
UNLABELLED = ("s1", "s5")


@pytest.fixture
def data(small_dataset: Callable[..., Any], tmp_path: Path) -> Any:
    """Six subjects; two, one of each group, have no label map."""
    dataset = small_dataset(tmp_path / "data")
    dataset.unlabel(*UNLABELLED)
    return dataset


def labelled_alone(data: Any) -> Any:
    chosen = data.table[~data.table["subject"].isin(UNLABELLED)]
    return replace(data, table=chosen).find()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def enlarge(path: Path) -> None:
    """More and larger voxels."""
    image = nib.Nifti1Image.from_filename(path)
    array = np.pad(np.asarray(image.dataobj), ((0, 5), (0, 3), (2, 2)))
    nib.Nifti1Image(array, np.diag([2, 2, 3, 1])).to_filename(path)


@pytest.mark.parametrize("view", [Slices(), PATCHES, Volumes()], ids=str)
def test_whole_images_are_read_back_with_labels_of_zeros(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, view: View
) -> None:
    folder = tmp_path / "records"
    preprocess_here(data.find(unlabelled=True), folder, view=view)
    manifest = load_manifest(folder)
    assert {shard.kind for shard in manifest.unlabelled} == {"volumes"}
    found = set()
    for shard in manifest.unlabelled:
        for record in tf.data.TFRecordDataset(str(folder / shard.file)):
            parsed = parse(record, "int16", 3, 2)
            name = parsed.subject.numpy().decode()
            found.add(name)
            image = np.stack([data.array(name, m) for m in ("t1", "t2")], axis=-1)
            expected = image[:, 0:12, 1:9].transpose(2, 1, 0, 3)
            np.testing.assert_array_equal(parsed.image, expected)
            np.testing.assert_array_equal(parsed.label, np.zeros((8, 12, 12)))
            np.testing.assert_array_equal(parsed.statistics, foreground_statistics(image))
            assert parsed.position.numpy().tolist() == [1, 0, 0]
    assert found == set(UNLABELLED)


@pytest.mark.parametrize(("view", "prescribed"), [(Slices(), False), (PATCHES, True)])
def test_labelled_subjects_and_statistics_are_the_same_with_and_without_them(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, view: View, prescribed: bool
) -> None:
    if prescribed:
        data.table["fold"] = ["train", "train", "train", "test", "test", "test"]
    for name in UNLABELLED:
        for modality in ("t1", "t2"):
            enlarge(data.path(name, modality))
    found = preprocess_here(data.find(unlabelled=True), tmp_path / "some", view=view)
    expected = preprocess_here(labelled_alone(data), tmp_path / "none", view=view)
    chosen = tuple(subject for subject in found.subjects if subject.labelled)
    others = tuple(shard for shard in found.shards if shard not in found.unlabelled)
    assert replace(found, subjects=chosen, shards=others) == expected
    assert found.folds == (("test", "train") if prescribed else ("0", "1"))
    for subject in found.subjects:
        assert subject.labelled == (subject.name not in UNLABELLED)
        assert len(subject.files) == 2 + subject.labelled
    assert {s.fold for s in found.subjects if not s.labelled} == {"unlabelled"}


def test_they_are_added_and_removed_without_touching_the_others(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    folder = tmp_path / "records"
    preprocess_here(labelled_alone(data), folder)
    before = contents(folder)
    for path in folder.iterdir():
        os.utime(path, ns=(1, 1))
    found = preprocess_here(data.find(unlabelled=True), folder)
    written = {path.name for path in folder.iterdir() if path.stat().st_mtime_ns != 1}
    assert written == {"manifest.json", *(shard.file for shard in found.unlabelled)}
    preprocess_here(labelled_alone(data), folder)
    assert contents(folder) == before


def test_a_run_that_was_stopped_is_resumed(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = data.find(unlabelled=True)
    expected = preprocess_here(dataset, tmp_path / "undisturbed", view=PATCHES)
    folder = tmp_path / "stopped"
    replaced = os.replace

    def interrupted(source: Path, target: Path) -> None:
        if target.name == expected.unlabelled[0].file:
            raise KeyboardInterrupt
        replaced(source, target)

    # The last part is the first to be written here.
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            preprocess_here(dataset, folder, view=PATCHES)
    kept = [shard for shard in expected.shards if shards.finished(folder, shard)]
    assert kept == list(expected.unlabelled[1:])
    for shard in kept:
        os.utime(folder / shard.file, ns=(1, 1))
    assert preprocess_here(dataset, folder, view=PATCHES) == expected
    assert contents(folder) == contents(tmp_path / "undisturbed")
    assert {(folder / shard.file).stat().st_mtime_ns for shard in kept} == {1}


def test_their_faults_are_reported_with_all_others(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    data.path("s0", "label").unlink()
    data.path("s1", "t2").unlink()
    for modality in ("t1", "t2"):
        data.path("s5", modality).write_bytes(data.path("s4", modality).read_bytes())
    dataset = data.find(unlabelled=True)
    with pytest.raises(UserError) as error:
        preprocess_here(dataset, tmp_path / "records")
    first, *lines = str(error.value).splitlines()
    assert first.startswith("4 of 6 subjects are not valid; nothing was written")
    twins = "duplicate subject: the same images as"
    assert lines == [
        f"  s0: {data.folder / 's0/label.nii.gz'}: no such file",
        f"  s1: {data.path('s1', 't2')}: no such file",
        f"  s4: {data.path('s4', 't1')}: {twins} s5",
        f"  s5: {data.path('s5', 't1')}: {twins} s4",
    ]
    found = preprocess_here(dataset, tmp_path / "records", skip_invalid=True)
    assert [subject.name for subject in found.subjects] == ["s2", "s3"]
    assert set(found.skipped) == {"s0", "s1", "s4", "s5"}
    assert found.unlabelled == ()


def test_without_a_valid_label_map_nothing_is_written(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    for name in ("s0", "s2", "s3", "s4"):
        data.path(name, "label").unlink()
    with pytest.raises(UserError, match=r"^no valid subject with a label map is left\. 4 of 6"):
        preprocess_here(data.find(unlabelled=True), tmp_path / "records", skip_invalid=True)
    assert not (tmp_path / "records").exists()


def test_every_example_comes_with_an_image_without_label_map(
    data: Any, tmp_path: Path, preprocess_here: Preprocess
) -> None:
    preprocess_here(data.find(unlabelled=True), tmp_path / "records")
    records = open_record_set(tmp_path / "records")
    size = (8, 12, 12)  # That of the bodies.
    recipe = Recipe(Volumes(), size, 2, "min_max", Augmentation(), unlabelled=True)
    found = training_batches(records, records.manifest.folds, recipe, 0, range(1), 4)
    labelled, unlabelled = set(), set()
    for batch in found.as_numpy_iterator():
        assert batch["unlabelled"].shape == batch["image"].shape == (2, *size, 2)
        labelled |= {image.tobytes() for image in batch["image"]}
        unlabelled |= {image.tobytes() for image in batch["unlabelled"]}
    assert len(labelled) == 4
    assert len(unlabelled) == 2
    assert not labelled & unlabelled
