"""Files of volumes, read and written."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tfrecords.errors import UserError
from tfrecords.geometry.grid import Grid
from tfrecords.geometry.nifti import (
    checksum,
    read,
    read_image,
    read_volume,
    write_image,
    write_label,
    write_maps,
)

SHAPE = (7, 6, 5)
OBLIQUE_DEG = (12, -20, 35)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    """Every voxel has a value of its own."""
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".nii.gz", ".nii"])
def test_every_file_format_gives_the_same_volume_on_the_same_grid(
    grid_of: Callable[..., Grid], tmp_path: Path, ending: str
) -> None:
    expected = grid_of("PSR", OBLIQUE_DEG)
    image = sitk.GetImageFromArray(numbered(SHAPE).T)
    to_lps = np.diag([-1, -1, 1])
    image.SetSpacing(expected.spacing_mm)
    image.SetOrigin((to_lps @ expected.matrix[:3, 3]).tolist())
    direction = to_lps @ expected.matrix[:3, :3] / expected.spacing_mm
    image.SetDirection(direction.ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / f"volume{ending}"))
    array, grid = read(tmp_path / f"volume{ending}")
    np.testing.assert_array_equal(array, numbered(SHAPE))
    assert array.dtype == np.int16
    assert grid.shape == SHAPE
    np.testing.assert_allclose(grid.matrix, expected.matrix, atol=1e-5)
    assert grid.matches(expected)


def test_single_channel_axis_is_dropped_and_scaling_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(numbered(SHAPE)[..., None], np.eye(4))
    image.header.set_slope_inter(2.0, -1024.0)
    image.to_filename(tmp_path / "ct.nii")
    array, _ = read(tmp_path / "ct.nii")
    stored = np.asarray(nib.Nifti1Image.from_filename(tmp_path / "ct.nii").dataobj)[..., 0]
    np.testing.assert_array_equal(array, stored)
    assert array.shape == SHAPE


def unreadable(path: Path) -> None:
    path.write_bytes(b"not an image")


def truncated(path: Path) -> None:
    nib.Nifti1Image(numbered(SHAPE), np.eye(4)).to_filename(path)
    path.write_bytes(path.read_bytes()[:-100])


def flat(path: Path) -> None:
    nib.Nifti1Image(np.ones((4, 4), np.int16), np.eye(4)).to_filename(path)


def coloured(path: Path) -> None:
    rgb = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.Nifti1Image(np.zeros(SHAPE, rgb), np.eye(4)).to_filename(path)


def complex_valued(path: Path) -> None:
    nib.Nifti1Image(np.zeros(SHAPE, np.complex64), np.eye(4)).to_filename(path)


def collapsed(path: Path) -> None:
    header = bytearray(nib.Nifti1Image(numbered(SHAPE), np.eye(4)).to_bytes())
    header[280:296] = bytes(16)  # srow_x, the affine's first row.
    path.write_bytes(header)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: None, "no such file"),
        (Path.mkdir, "expected an image file, received a folder"),
        (unreadable, "cannot be read"),
        (truncated, "cannot be read"),
        (flat, r"expected a 3D or 4D image, received shape \(4, 4\)"),
        (coloured, "expected integers or floats"),
        (complex_valued, "expected integers or floats, received complex64"),
        (collapsed, "expected an affine that can be inverted"),
    ],
)
def test_what_is_no_volume_is_refused_by_name(tmp_path: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "broken.nii"
    damage(path)
    with pytest.raises(UserError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)


def test_truncated_gzip_and_broken_itk_files_are_refused(tmp_path: Path) -> None:
    for name in ("cut.nii.gz", "cut.mha"):
        path = tmp_path / name
        sitk.WriteImage(sitk.GetImageFromArray(numbered((20, 20, 20))), str(path))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UserError, match=f"{name}: cannot be read"):
            read(path)


def test_prediction_keeps_the_grid_and_the_codes_of_its_source(
    grid_of: Callable[..., Grid], tmp_path: Path
) -> None:
    grid = grid_of("PSR", OBLIQUE_DEG)
    source = nib.Nifti1Image(numbered(SHAPE), None)
    source.set_qform(grid.matrix, code=1)
    source.set_sform(grid.matrix, code=4)
    source.header.set_xyzt_units("mm", "sec")
    source.header.set_slope_inter(0.5, 3.0)
    source.to_filename(tmp_path / "source.nii.gz")
    label = (numbered(SHAPE) % 5).astype(np.uint8)
    write_label(tmp_path / "out" / "label.nii.gz", label, tmp_path / "source.nii.gz")

    source = nib.Nifti1Image.from_filename(tmp_path / "source.nii.gz")
    written = nib.Nifti1Image.from_filename(tmp_path / "out" / "label.nii.gz")
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(written.dataobj), label)
    np.testing.assert_array_equal(written.affine, source.affine)
    for form in ("get_qform", "get_sform"):
        expected, expected_code = getattr(source, form)(coded=True)
        affine, code = getattr(written, form)(coded=True)
        assert code == expected_code
        np.testing.assert_array_equal(affine, expected)
    assert written.header.get_xyzt_units()[0] == "mm"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["label.nii.gz"]


def test_prediction_for_a_source_without_sform_has_none(
    grid_of: Callable[..., Grid], tmp_path: Path
) -> None:
    source = nib.Nifti1Image(numbered(SHAPE), None)
    source.set_qform(grid_of("LAS").matrix, code=1)
    source.set_sform(None, code=0)
    source.to_filename(tmp_path / "source.nii")
    write_label(tmp_path / "label.nii", np.ones(SHAPE, np.uint8), tmp_path / "source.nii")
    written = nib.Nifti1Image.from_filename(tmp_path / "label.nii")
    assert (int(written.header["qform_code"]), int(written.header["sform_code"])) == (1, 0)
    np.testing.assert_allclose(written.affine, grid_of("LAS").matrix, atol=1e-6)


def test_maps_are_one_file_on_the_grid_of_their_source(
    grid_of: Callable[..., Grid], tmp_path: Path
) -> None:
    source = nib.Nifti1Image(numbered(SHAPE), None)
    source.set_sform(grid_of("PSR", OBLIQUE_DEG).matrix, code=4)
    source.header.set_slope_inter(0.5, 3.0)
    source.to_filename(tmp_path / "source.nii.gz")
    maps = np.random.default_rng(0).random((*SHAPE, 3), np.float32)
    for like in (tmp_path / "source.nii.gz", grid_of("PSR", OBLIQUE_DEG)):
        write_maps(tmp_path / "maps.nii.gz", maps, like)
        written = nib.Nifti1Image.from_filename(tmp_path / "maps.nii.gz")
        np.testing.assert_array_equal(np.asarray(written.dataobj), maps)
        assert written.get_data_dtype() == np.float32
        np.testing.assert_allclose(written.affine, grid_of("PSR", OBLIQUE_DEG).matrix, atol=1e-5)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.mhd", "a.nrrd"])
def test_a_files_checksum_is_that_of_what_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    sitk.WriteImage(sitk.GetImageFromArray(numbered(SHAPE)), str(path))
    before = checksum(path)
    assert before == read_volume(path).sha256
    changed = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)  # Of a.mhd, a.raw.
    changed.write_bytes(changed.read_bytes() + b"x")
    assert checksum(path) != before


def test_a_missing_file_has_no_checksum(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a.mhd: no such file"):
        checksum(tmp_path / "a.mhd")
    (tmp_path / "a.mhd").write_text("NDims = 3\nElementDataFile = a.raw\n")
    with pytest.raises(UserError, match=r"a.mhd: cannot be read \(no such file: .*a.raw"):
        checksum(tmp_path / "a.mhd")


def test_prediction_lies_on_a_source_of_another_format(tmp_path: Path) -> None:
    source = sitk.GetImageFromArray(numbered(SHAPE).T)
    source.SetSpacing((1, 2, 3))
    source.SetOrigin((4, 5, 6))
    sitk.WriteImage(source, str(tmp_path / "source.mha"))
    label = (numbered(SHAPE) % 3).astype(np.uint8)
    write_label(tmp_path / "label.nii.gz", label, tmp_path / "source.mha")
    written = sitk.ReadImage(str(tmp_path / "label.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written).T, label)
    assert written.GetSpacing() == (1, 2, 3)
    assert written.GetOrigin() == (4, 5, 6)
    np.testing.assert_allclose(written.GetDirection(), np.eye(3).ravel())


def test_an_image_is_written_as_it_is_and_always_the_same(
    grid_of: Callable[..., Grid], tmp_path: Path
) -> None:
    grid = grid_of("LPS", OBLIQUE_DEG)
    for dtype in (np.uint8, np.int16, np.int64, np.float32):
        array = numbered(SHAPE).astype(dtype)
        contents = []
        for name in ("first", "second"):
            write_image(tmp_path / f"{name}.nii.gz", array, grid)
            contents.append((tmp_path / f"{name}.nii.gz").read_bytes())
        assert contents[0] == contents[1]
        found, where = read_image(tmp_path / "first.nii.gz")
        np.testing.assert_array_equal(found, array)
        assert (found.dtype, where.matches(grid)) == (dtype, True)
    header = nib.Nifti1Image.from_filename(tmp_path / "first.nii.gz").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"


def test_an_image_has_three_dimensions(tmp_path: Path) -> None:
    nib.Nifti1Image(np.zeros((2, 2, 2, 2), np.int16), np.eye(4)).to_filename(tmp_path / "4d.nii")
    with pytest.raises(
        UserError, match=r"4d.nii: expected a 3D image, received shape \(2, 2, 2, 2"
    ):
        read_image(tmp_path / "4d.nii")
