from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.records.manifest import Manifest
from tfrecords.sources import layouts

NUMBERS = ("1", "2", "3", "4", "5")
ENDINGS = (".nii", ".nii.gz")
SPACING_MM = (0.958, 0.958, 3.0)
# Voxels of label 0, 1, ... of a map of 8 x 6 x 4.
VOXELS = (100, 20, 4, 30, 2, 15, 6, 10, 5)


def write(training: Path, ending: str) -> None:
    """The challenge's five training subjects, small."""
    affine = np.diag([*SPACING_MM, 1])
    reference = np.repeat(np.arange(9, dtype=np.uint8), VOXELS).reshape(8, 6, 4)
    tissue = np.array([0, 2, 2, 3, 3, 1, 1, 0, 0], np.uint8)[reference]
    for number in NUMBERS:
        random = np.random.default_rng(int(number))
        thin = random.integers(1, 999, (10, 10, 12)).astype(np.int16)
        (training / number).mkdir(parents=True)
        files = {
            "T1_1mm": nib.Nifti1Image(thin, np.eye(4)),
            "LabelsForTraining": nib.Nifti1Image(reference, affine),
            "LabelsForTesting": nib.Nifti1Image(tissue, affine),
        }
        for name in ("T1", "T1_IR", "T2_FLAIR"):
            intensities = random.integers(1, 999, reference.shape).astype(np.int16)
            files[name] = nib.Nifti1Image(intensities, affine)
        for name, image in files.items():
            image.to_filename(training / number / f"{name}{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_training_data_become_a_record_set_in_the_papers_classes(
    tmp_path: Path, preprocess_here: Callable[..., Manifest], ending: str
) -> None:
    write(tmp_path / "TrainingData", ending)
    (tmp_path / "TestData" / "1").mkdir(parents=True)
    dataset = layouts.find("mrbrains13", tmp_path)
    manifest = preprocess_here(dataset, tmp_path / "records")
    assert manifest.modalities == ("t1",)
    assert manifest.spacing_mm == SPACING_MM
    assert manifest.largest_shape == (4, 6, 8)
    voxels = {c.name: n for c, n in zip(manifest.classes, manifest.class_voxels, strict=True)}
    expected = {
        "background": 500,
        "WM": 160,
        "cGM": 100,
        "BGT": 20,
        "CB": 50,
        "BS": 25,
        "lvCSF": 30,
        "pCSF": 75,
    }
    assert list(voxels.items()) == list(expected.items())
    # White matter comes back as white matter, not as lesions.
    assert [c.labels[0] for c in manifest.classes] == [0, 3, 1, 2, 7, 8, 6, 5]
    assert {s.name: s.fold for s in manifest.subjects} == {n: n for n in NUMBERS}
    for subject in dataset.subjects:
        folder = tmp_path / "TrainingData" / subject.name
        assert subject.images == (folder / f"T1{ending}",)
        assert subject.label == folder / f"LabelsForTraining{ending}"


def test_the_folder_of_the_training_data_will_do(tmp_path: Path) -> None:
    write(tmp_path / "TrainingData", ".nii")
    there = layouts.find("mrbrains13", tmp_path / "TrainingData")
    assert there == layouts.find("mrbrains13", tmp_path)


def test_missing_files_are_named_and_their_subjects_left_out_on_request(
    tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    write(tmp_path, ".nii")
    (tmp_path / "2" / "LabelsForTraining.nii").unlink()
    (tmp_path / "4" / "T1.nii").unlink()
    dataset = layouts.find("mrbrains13", tmp_path)
    with pytest.raises(UserError, match="2 of 5 subjects are not valid") as error:
        preprocess_here(dataset, tmp_path / "records")
    for file in ("2/LabelsForTraining.nii", "4/T1.nii"):
        assert f"{tmp_path / file}: no such file" in str(error.value)
    manifest = preprocess_here(dataset, tmp_path / "records", skip_invalid=True)
    assert [s.name for s in manifest.subjects] == ["1", "3", "5"]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "TestData" / "1").mkdir(parents=True)
    with pytest.raises(UserError, match="expected the folders TrainingData/1 to TrainingData/5"):
        layouts.find("mrbrains13", tmp_path)
    for wrong in (None, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="data_dir: expected a folder for --dataset mrbrains13"):
            layouts.find("mrbrains13", wrong)
