"""Folders of DICOM slices: where their voxels lie, and what is no volume."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.affines import apply_affine
from pydicom import Dataset
from scipy.spatial.transform import Rotation

from tests.series import COLUMN, ROW, save, write_series
from tfrecords.errors import UserError
from tfrecords.geometry.dicom import is_series
from tfrecords.geometry.nifti import checksum, read_volume

SHAPE = (5, 4, 6)


def numbered() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) - 9


@pytest.mark.parametrize("turn_deg", [(0, 0, 0), (12, -20, 35), (0, 170, 0)])
def test_each_voxel_lies_where_its_slice_says(turn_deg: tuple[float, ...], tmp_path: Path) -> None:
    turn = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    written = write_series(tmp_path, numbered(), row=turn @ ROW, column=turn @ COLUMN)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, numbered())
    assert volume.array.dtype == np.int16
    assert volume.remarks == ()
    np.testing.assert_allclose(volume.grid.spacing_mm, (0.5, 0.75, 3.0))
    for k, slice_ in enumerate(written):  # DICOM PS3.3 C.7.6.2.1.1, for column 2 and row 3.
        x, y = np.reshape(slice_.ImageOrientationPatient, (2, 3)).astype(float)
        between_rows, between_columns = slice_.PixelSpacing
        place = slice_.ImagePositionPatient + x * between_columns * 2 + y * between_rows * 3
        found = apply_affine(volume.grid.matrix, (2, 3, k)) * (-1, -1, 1)  # RAS to LPS.
        np.testing.assert_allclose(found, place, atol=1e-4)


def test_intensities_are_rescaled(tmp_path: Path) -> None:
    for number, slice_ in enumerate(write_series(tmp_path, numbered())):
        save(slice_, RescaleSlope=0.5 * (number + 1), RescaleIntercept=-1024)
    expected = numbered() * 0.5 * np.arange(1, SHAPE[2] + 1) - 1024
    np.testing.assert_allclose(read_volume(tmp_path).array, expected)


def test_one_slice_is_as_thick_as_it_says(tmp_path: Path) -> None:
    (slice_,) = write_series(tmp_path, numbered()[..., :1])
    volume = read_volume(tmp_path)
    assert volume.grid.shape == (5, 4, 1)
    assert volume.grid.spacing_mm[2] == 3
    save(slice_, SliceThickness=None)
    with pytest.raises(UserError, match="expected a SliceThickness of the only slice"):
        read_volume(tmp_path)


def test_files_that_are_no_slices_are_named(tmp_path: Path) -> None:
    write_series(tmp_path, numbered())
    before = checksum(tmp_path)
    (tmp_path / "LICENCE").write_text("x")
    volume = read_volume(tmp_path)
    assert volume.remarks == ("left out, as they are no DICOM: LICENCE",)
    assert volume.sha256 == checksum(tmp_path) == before
    (tmp_path / "000").unlink()
    assert checksum(tmp_path) != before


def test_a_folder_without_dicom_is_no_series(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").mkdir()
    assert not is_series(tmp_path)
    with pytest.raises(UserError, match=f"^{tmp_path}: expected an image file, received a folder"):
        read_volume(tmp_path)


def changed(number: int, **changes: Any) -> Callable[[list[Dataset]], None]:
    return lambda written: save(written[number], **changes)


def gone(written: list[Dataset]) -> None:
    Path(written[2].filename).unlink()


def cut(written: list[Dataset]) -> None:
    path = Path(written[1].filename)
    path.write_bytes(path.read_bytes()[:-13])


def tilted(written: list[Dataset]) -> None:
    for number, slice_ in enumerate(written):
        place = slice_.ImagePositionPatient
        save(slice_, ImagePositionPatient=[place[0], place[1] + 0.4 * number, place[2]])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (changed(1, SeriesInstanceUID="1.2.3"), r"expected one DICOM series, received 2: 1\.2"),
        (gone, r"equal distances, received 6 mm between 0\d\d and 0\d\d and 3 mm elsewhere"),
        (
            changed(2, ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
            r"slices of one ImageOrientationPatient, received .*; put each volume into a folder",
        ),
        (changed(1, PixelSpacing=[1, 1]), r"slices of one PixelSpacing, received"),
        (changed(1, Rows=2), r"slices of one Rows, received 4 in .* and 2 in"),
        (changed(1, ImagePositionPatient=None), r"0\d\d: expected a slice with ImagePositionPat"),
        (changed(1, NumberOfFrames=3), r"0\d\d: expected one slice of one channel in each file"),
        (
            lambda written: save(
                written[1], ImagePositionPatient=list(written[0].ImagePositionPatient)
            ),
            r"expected a place of its own for each slice, received 0\d\d and 0\d\d in one",
        ),
        (tilted, r"slices above each other, received some that are shifted by 2 mm, as by a tilte"),
        (
            changed(1, PixelData=b"\0\0"),
            r"0\d\d: expected 40 bytes of voxels, received 2; fetch it",
        ),
        (changed(1, PixelData=None), r"0\d\d: expected a slice with PixelData, received none"),
        (cut, r"cannot be read"),
    ],
)
def test_what_is_no_volume_is_one_line(
    spoil: Callable[[list[Dataset]], None], message: str, tmp_path: Path
) -> None:
    spoil(write_series(tmp_path, numbered()))
    with pytest.raises(UserError, match=message) as error:
        read_volume(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}: cannot be read (")
    assert "\n" not in str(error.value)
