"""Label files as class indices."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.files import file_checksum
from tfrecords.geometry.grid import make_grid, working_grid
from tfrecords.sources.labels import counted, read_classes
from tfrecords.sources.subject import IGNORED, LabelClass

CLASSES = (LabelClass("background", (0, 9)), LabelClass("a", (4, 3)), LabelClass("b", (1,)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_values_become_indices_on_the_working_grid(tmp_path: Path, dtype: type) -> None:
    affine = np.diag([-1.0, 1, 1, 1])
    label = np.array([0, 9, 4, 3, 1, 1], dtype).reshape(6, 1, 1)
    nib.Nifti1Image(label, affine).to_filename(tmp_path / "label.nii")
    working = working_grid(make_grid(label.shape, affine), "RAS", None)
    source = make_grid(label.shape, affine)
    found = read_classes(tmp_path / "label.nii", CLASSES, working, source=source)
    assert found.dtype == np.uint8
    assert found.shape == (1, 1, 6)
    assert found.ravel().tolist() == [2, 2, 1, 1, 0, 0]


def test_values_of_one_class_are_not_told_apart_when_resampled(tmp_path: Path) -> None:
    """Of three voxels each value has a third, and the class of two of them the largest share."""
    label = np.array([1, 4, 3, 1, 1, 1], np.uint8).reshape(6, 1, 1)
    nib.Nifti1Image(label, np.eye(4)).to_filename(tmp_path / "label.nii")
    between = np.eye(4)
    between[0, 3] = 1.5
    source, working = make_grid(label.shape, np.eye(4)), make_grid((1, 1, 1), between)
    found = read_classes(tmp_path / "label.nii", CLASSES, working, source=source)
    assert found.ravel().tolist() == [1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 0.5], r"labels are not whole numbers .for example \[0.5\]"),
        ([0, np.nan], "labels are not whole numbers"),
        ([0, 7], r"unknown labels \[7\], expected \[0, 1, 3, 4, 9\]"),
        ([0, -1], r"unknown labels \[-1\]"),
        ([0, 1, 1], "expected the grid 2x1x1 voxels .*, received 3x1x1 voxels"),
    ],
)
def test_values_and_places_that_mean_nothing_are_refused(
    tmp_path: Path, values: list[float], message: str
) -> None:
    path = tmp_path / "label.nii"
    label = np.array(values, np.float32).reshape(-1, 1, 1)
    nib.Nifti1Image(label, np.eye(4)).to_filename(path)
    grid = make_grid((2, 1, 1), np.eye(4))
    with pytest.raises(UserError, match=f"label.nii: {message}"):
        read_classes(path, CLASSES, grid, source=grid)


def test_a_label_map_that_changed_since_it_was_checked_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "label.nii"
    nib.Nifti1Image(np.ones((2, 1, 1), np.uint8), np.eye(4)).to_filename(path)
    grid = make_grid((2, 1, 1), np.eye(4))
    read_classes(path, CLASSES, grid, source=grid, sha256=file_checksum(path))
    with pytest.raises(UserError, match=r"label.nii: the file has changed since it was checked"):
        read_classes(path, CLASSES, grid, source=grid, sha256="0" * 64)


def test_what_nobody_annotated_is_one_more_value_when_resampled(tmp_path: Path) -> None:
    """Between a voxel of class 2 and an ignored one: the value of the nearer one, of two thirds."""
    label = np.array([1, 1, 7, 7], np.uint8).reshape(4, 1, 1)
    nib.Nifti1Image(label, np.eye(4)).to_filename(tmp_path / "label.nii")
    affine = np.diag([1 / 3, 1, 1, 1])
    affine[0, 3] = 4 / 3
    source, working = make_grid(label.shape, np.eye(4)), make_grid((2, 1, 1), affine)
    found = read_classes(tmp_path / "label.nii", CLASSES, working, (7,), source=source)
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == [2, IGNORED]


@pytest.mark.parametrize(
    "label",
    [
        np.array([[[3, 0], [-2, 3]]], np.int16, order="F"),
        np.array([0, 200, 255, 200], np.uint8).reshape(1, 2, 2),
        np.array([0, 4, 4, 1], ">i4").reshape(2, 2, 1),
        np.array([-(2**40), 7, 7, 2**40]).reshape(1, 1, 4),
        np.array([2**64 - 2, 2**64 - 1], np.uint64).reshape(1, 1, 2),
        np.array([0.0, 1.5, 1.5, np.inf]).reshape(1, 1, 4),
        np.empty((0, 1, 1), np.uint8),
    ],
    ids=["negative", "bytes", "swapped", "far apart", "huge", "floats", "none"],
)
def test_values_are_counted_as_numpy_does(label: np.ndarray) -> None:
    for found, expected in zip(counted(label), np.unique(label, return_counts=True), strict=True):
        np.testing.assert_array_equal(found, expected)
