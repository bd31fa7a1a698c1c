"""The image files of one subject."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tests.series import write_series
from tfrecords.errors import UserError
from tfrecords.sources.images import load_image, read_files, stack, stacked_names
from tfrecords.sources.subject import Subject


@pytest.fixture
def subject(tmp_path: Path, small_dataset: Callable[..., Any]) -> Subject:
    (found,) = small_dataset(tmp_path / "data", 1).find().subjects
    return found


def array(path: Path) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)


def test_loading_stacks_modalities_of_one_grid_alone(subject: Subject) -> None:
    image, grid = load_image(subject, 2)
    both = np.stack(list(map(array, subject.images)), axis=-1)
    np.testing.assert_array_equal(image, both)
    assert grid.spacing_mm == (1, 1, 2)
    moved = nib.Nifti1Image(both[..., 1], np.eye(4))
    moved.to_filename(subject.images[1])
    with pytest.raises(UserError, match=r"t2\.nii\.gz: grid .* differs from .*t1\.nii\.gz"):
        load_image(subject, 2)


def test_a_folder_of_a_dicom_series_is_an_image(subject: Subject, tmp_path: Path) -> None:
    """On the same grid, here that of `small_dataset`, it stacks with a file."""
    expected = load_image(subject, 2)
    write_series(
        tmp_path / "t1",
        array(subject.images[0]),
        row=(-1, 0, 0),
        column=(0, -1, 0),
        spacing_mm=(1, 1, 2),
        first_mm=(6, 7, -10),
    )
    mixed = replace(subject, images=(tmp_path / "t1", subject.images[1]))
    image, grid = load_image(mixed, 2)
    np.testing.assert_array_equal(image, expected[0])
    assert grid.matches(expected[1])
    volumes, _ = read_files(mixed.images)
    checksums = {str(path): volume.sha256 for path, volume in volumes.items()}
    (tmp_path / "t1" / "001").write_bytes((tmp_path / "t1" / "002").read_bytes())
    with pytest.raises(UserError, match=f"^{tmp_path / 't1'}: cannot be read .expected a place"):
        load_image(mixed, 2, checksums)


def test_files_that_are_not_those_that_were_checked_are_refused(subject: Subject) -> None:
    volumes, findings = read_files(subject.images)
    assert findings == []
    checksums = {str(path): volume.sha256 for path, volume in volumes.items()}
    load_image(subject, 2, checksums)
    second = subject.images[1]
    second.write_bytes(subject.images[0].read_bytes())
    with pytest.raises(UserError, match=f"^{second}: the file has changed since it was checked"):
        load_image(subject, 2, checksums)


def test_channels_of_a_4d_file_are_put_in_order_and_named(subject: Subject) -> None:
    t1, t2 = map(array, subject.images)
    path = subject.images[0]
    four = nib.Nifti1Image(np.stack([t1, np.zeros_like(t1), t2], axis=-1), np.eye(4))
    four.to_filename(path)
    single = replace(subject, images=(path,), channels=(1, -1, 0))
    volumes, _ = read_files(single.images)
    np.testing.assert_array_equal(stack(single, volumes, 2), np.stack([t2, t1], axis=-1))
    assert stacked_names(single, 2) == [f"{path} channel 2", f"{path} channel 0"]
    assert stacked_names(subject, 2) == list(map(str, subject.images))
    for channels, expected in (((0, 1), 2), ((0, -1, -1, 1), 4)):
        wrong = replace(single, channels=channels)
        with pytest.raises(UserError, match=f"expected {expected} modalities, received 3"):
            load_image(wrong, 2)
