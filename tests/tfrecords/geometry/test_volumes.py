from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from nibabel.affines import apply_affine
from scipy.ndimage import center_of_mass
from scipy.spatial.transform import Rotation

from tfrecords.errors import UserError
from tfrecords.geometry.grid import Grid, make_grid, working_grid
from tfrecords.geometry.nifti import read, write_label
from tfrecords.geometry.resample import to_source, to_working
from tfrecords.records.storage import halve

SHAPE = (7, 6, 5)
WORLD = {"R": (1, 0, 0), "A": (0, 1, 0), "S": (0, 0, 1)}
OPPOSITE = {"L": "R", "P": "A", "I": "S"}
OBLIQUE_DEG = (12, -20, 35)
SOURCES = [
    ("RAS", (0, 0, 0)),
    ("LAS", (0, 0, 0)),
    ("LPS", (0, 0, 0)),
    ("PSR", (0, 0, 0)),
    ("ILA", (0, 0, 0)),
    ("RAS", OBLIQUE_DEG),
    ("PSR", OBLIQUE_DEG),
    ("ILA", OBLIQUE_DEG),
]


def grid_of(
    codes: str,
    angles_deg: tuple[float, ...] = (0, 0, 0),
    shape: tuple[int, ...] = SHAPE,
    spacing_mm: tuple[float, ...] = (1, 1.5, 2.5),
) -> Grid:
    """A grid whose axes point to `codes`, turned by angles."""
    axes = [
        np.negative(WORLD[OPPOSITE[code]]) if code in OPPOSITE else np.array(WORLD[code])
        for code in codes
    ]
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.stack(axes, axis=1) * spacing_mm
    affine[:3, 3] = (-20, 35, 7)
    return make_grid(shape, affine)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    """Every voxel has a value of its own."""
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def world_of_voxels(grid: Grid) -> np.ndarray:
    """[X * Y * Z, 3], in the order of a raveled array."""
    return apply_affine(grid.matrix, np.argwhere(np.ones(grid.shape, bool)))


def centre_mm(mask: np.ndarray, grid: Grid) -> np.ndarray:
    return apply_affine(grid.matrix, center_of_mass(mask))


@pytest.mark.parametrize("working_codes", ["RAS", "LPI", "SRA"])
@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_label_map_comes_back_voxel_for_voxel(
    codes: str, angles_deg: tuple[float, ...], working_codes: str
) -> None:
    source = grid_of(codes, angles_deg)
    working = working_grid(source, working_codes, None)
    assert working.orientation == working_codes
    label = numbered(SHAPE)
    there = to_working(label, source, working, label=True)
    assert there.shape == working.shape[::-1]
    np.testing.assert_array_equal(to_source(there, working, source), label)


@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_every_voxel_stays_at_its_place_in_the_world(
    codes: str, angles_deg: tuple[float, ...]
) -> None:
    source = grid_of(codes, angles_deg)
    working = working_grid(source, "RAS", None)
    image = numbered(SHAPE)
    there = to_working(image, source, working, label=False)
    voxels = apply_affine(np.linalg.inv(working.matrix), world_of_voxels(source))
    np.testing.assert_allclose(voxels, np.rint(voxels), atol=1e-9)
    x, y, z = np.rint(voxels).astype(int).T
    np.testing.assert_array_equal(there[z, y, x], image.ravel())


def test_las_is_mirrored_along_x_and_psr_permuted() -> None:
    image = numbered(SHAPE)
    las, psr = grid_of("LAS"), grid_of("PSR")
    from_las = to_working(image, las, working_grid(las, "RAS", None), label=False)
    np.testing.assert_array_equal(from_las, image[::-1].transpose(2, 1, 0))
    # PSR: the first axis points backwards (y), the second up (z), the third right (x).
    from_psr = to_working(image, psr, working_grid(psr, "RAS", None), label=False)
    np.testing.assert_array_equal(from_psr, image[::-1].transpose(1, 0, 2))


@pytest.mark.parametrize("angles_deg", [(0, 0, 45), (45, 45, 0), (45, 0, 135), (45, 45, 45)])
def test_halfway_between_two_orientations_nothing_is_swapped(
    angles_deg: tuple[float, ...],
) -> None:
    """Of a cube, a confusion of axes would not show in the shape."""
    source = grid_of("RAS", angles_deg, (6, 6, 6), (1, 1, 1))
    image = numbered(source.shape)
    for codes in ("RAS", "PSR"):
        working = working_grid(source, codes, None)
        there = to_working(image, source, working, label=True)
        np.testing.assert_array_equal(to_source(there, working, source), image)
        voxels = apply_affine(np.linalg.inv(working.matrix), world_of_voxels(source))
        x, y, z = np.rint(voxels).astype(int).T
        np.testing.assert_array_equal(there[z, y, x], image.ravel())


def test_resampled_grid_has_the_extent_and_the_centre_of_the_source() -> None:
    source = grid_of("LAS", shape=(24, 20, 16))
    working = working_grid(source, "RAS", (2, 2, 2))
    assert working.shape == (12, 15, 20)
    np.testing.assert_allclose(working.spacing_mm, (2, 2, 2))
    np.testing.assert_allclose(
        world_of_voxels(working).mean(axis=0), world_of_voxels(source).mean(axis=0)
    )


@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_resampling_keeps_a_structure_in_its_place_and_back(
    codes: str, angles_deg: tuple[float, ...]
) -> None:
    source = grid_of(codes, angles_deg, (26, 20, 16))
    offset = (np.indices(source.shape).T - (14, 9, 7)) / (7, 5, 4)
    # Seven, so that a blend with the background would show.
    ball = 7 * (np.sum(offset**2, axis=-1).T < 1).astype(np.uint8)
    working = working_grid(source, "RAS", (1.3, 2.1, 1.7))
    there = to_working(ball, source, working, label=True)
    back = to_source(there, working, source)
    assert set(np.unique(there)) == set(np.unique(back)) == {0, 7}
    assert back.shape == source.shape
    for mask, grid in ((there.T, working), (back, source)):
        shift_mm = centre_mm(mask, grid) - centre_mm(ball, source)
        shift_voxels = np.linalg.inv(grid.matrix[:3, :3]) @ shift_mm
        assert np.abs(shift_voxels).max() < 0.5
    overlap = 2 * np.sum((back > 0) & (ball > 0)) / (np.sum(back > 0) + np.sum(ball > 0))
    assert overlap > 0.85


@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_resampled_intensities_are_interpolated_at_their_world_position(
    codes: str, angles_deg: tuple[float, ...]
) -> None:
    """Linear interpolation of a linear function is that function."""
    source = grid_of(codes, angles_deg, (12, 10, 9))
    slope = np.array([2.0, -3.0, 5.0])
    image = (world_of_voxels(source) @ slope).reshape(source.shape).astype(np.float32)
    working = working_grid(source, "RAS", (1.3, 2.1, 1.7))
    there = to_working(image, source, working, label=False).T
    expected = (world_of_voxels(working) @ slope).reshape(working.shape)
    inside = (slice(2, -2),) * 3  # Outside the source's outermost centres its edge is repeated.
    np.testing.assert_allclose(there[inside], expected[inside], atol=1e-3)


def test_a_slices_resampling_leaves_the_third_axis_alone() -> None:
    source = make_grid((8, 6, 3), np.diag([-0.5, -0.5, 3.6, 1]))
    working = working_grid(source, "RAS", (0.25, 0.25, 0))
    assert working.shape == (16, 12, 3)
    # The first voxel's outer faces stay: -3.5 - 0.25 and -2.5 - 0.25 mm.
    expected = [[0.25, 0, 0, -3.625], [0, 0.25, 0, -2.625], [0, 0, 3.6, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(working.matrix, expected)


@pytest.mark.parametrize("kept", [0, 1, 2])
@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_along_an_axis_that_keeps_its_spacing_slices_are_the_sources(
    codes: str, angles_deg: tuple[float, ...], kept: int
) -> None:
    source = grid_of(codes, angles_deg)
    oriented = working_grid(source, "RAS", None)
    wanted_mm = np.insert([0.7, 1.9], kept, 0)
    working = working_grid(source, "RAS", tuple(wanted_mm))
    assert working.shape[kept] == oriented.shape[kept]
    np.testing.assert_allclose(
        working.spacing_mm, np.where(wanted_mm, wanted_mm, oriented.spacing_mm)
    )
    # A value for each slice, far from its neighbours', so that a blend with them would show.
    values = (1 + 97 * np.arange(oriented.shape[kept]) % 7).astype(np.uint8)
    along = np.expand_dims(values, [axis for axis in range(3) if axis != kept])
    slices = to_source(np.broadcast_to(along, oriented.shape).T, oriented, source)
    there = to_working(slices.astype(np.float32), source, working, label=False)
    expected = np.broadcast_to(along, working.shape).T
    np.testing.assert_allclose(there, expected, rtol=1e-6)
    back = to_source(expected, working, source)
    np.testing.assert_array_equal(back, slices)


def test_resampled_integers_are_rounded_not_cut() -> None:
    source = grid_of("RAS", shape=(4, 2, 2), spacing_mm=(1, 1, 1))
    image = np.full(source.shape, 10, np.int16)
    image[2:] = 11
    working = working_grid(source, "RAS", (0.25, 1, 1))
    there = to_working(image, source, working, label=False)
    assert there.dtype == np.int16
    assert there[0, 0].tolist() == [10] * 8 + [11] * 8


def test_cropped_grid_keeps_the_centre_and_axes_that_are_shorter() -> None:
    """BraTS' grid: left to right is x, front to back is y, and both count down in the file."""
    source = make_grid((240, 240, 155), np.diag([-1.0, -1.0, 1.0, 1.0]))
    working = working_grid(source, "RAS", None, (180, 300, 128))
    assert working.shape == (180, 240, 128)
    assert working.orientation == "RAS"
    # Of 60 voxels 30 go on either side, of 27 the first 13.
    np.testing.assert_array_equal(working.matrix[:3, 3], (-239 + 30, -239, 13))


CROPS = [(4, 3, 9), (3, 6, 1), (6, 5, 4), (7, 9, 5)]


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("working_codes", ["RAS", "SRA"])
@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_label_map_of_a_crop_comes_back_voxel_for_voxel_amid_background(
    codes: str, angles_deg: tuple[float, ...], working_codes: str, crop: tuple[int, ...]
) -> None:
    source = grid_of(codes, angles_deg)
    working = working_grid(source, working_codes, None, crop)
    label = numbered(SHAPE) + 1
    there = to_working(label, source, working, label=True)
    assert there.shape == working.shape[::-1]
    voxels = apply_affine(np.linalg.inv(working.matrix), world_of_voxels(source))
    np.testing.assert_allclose(voxels, np.rint(voxels), atol=1e-9)
    x, y, z = np.rint(voxels).astype(int).T
    inside = np.all((np.rint(voxels) >= 0) & (np.rint(voxels) < working.shape), axis=1)
    assert inside.sum() == there.size
    np.testing.assert_array_equal(there[z[inside], y[inside], x[inside]], label.ravel()[inside])
    back = to_source(there, working, source)
    np.testing.assert_array_equal(back.ravel(), np.where(inside, label.ravel(), 0))


def test_cropped_intensities_are_those_of_the_source_even_if_no_float32_holds_them() -> None:
    image = numbered(SHAPE).astype(np.float64) + 2**53 - 1000
    source = grid_of("LPS")
    there = to_working(image, source, working_grid(source, "LPS", None, (3, 4, 5)), label=False)
    np.testing.assert_array_equal(there, image[2:5, 1:5].T)


@pytest.mark.parametrize(
    ("voxels", "spacing_mm", "crop", "expected"),
    [
        # Twelve voxels become six, each the place of two.
        (12, 1.9, 6, [1] * 12),
        (12, 1.9, 5, [1] * 10 + [0] * 2),
        (12, 1.9, 4, [0] * 2 + [1] * 8 + [0] * 2),
        (12, 1.9, 1, [0] * 4 + [1] * 2 + [0] * 6),
        # Here they become two, beyond which lies one of the twelve on either side.
        (12, 5, 2, [1] * 12),
        (12, 5, 1, [1] * 6 + [0] * 6),
        # Eleven become eight, which reach beyond them by almost a quarter of one.
        (11, 1.46, 8, [1] * 11),
        (11, 1.46, 7, [1] * 10 + [0]),
    ],
)
def test_beside_a_resampled_crop_is_background_but_not_at_the_volumes_edge(
    voxels: int, spacing_mm: float, crop: int, expected: list[int]
) -> None:
    for codes in ("RAS", "LAS"):
        source = grid_of(codes, shape=(voxels, 3, 2), spacing_mm=(1, 1, 1))
        working = working_grid(source, codes, (spacing_mm, 1, 1), (crop, 3, 2))
        assert working.shape == (crop, 3, 2)
        back = to_source(np.ones((2, 3, crop), np.uint8), working, source)
        np.testing.assert_array_equal(back, np.tile(expected, (2, 3, 1)).T)


def test_resampled_crop_is_a_part_of_the_resampled_volume() -> None:
    source = grid_of("PSR", OBLIQUE_DEG, (13, 11, 9))
    image = np.random.default_rng(0).integers(0, 999, source.shape).astype(np.int16)
    spacing_mm = (1.3, 2.1, 1.7)
    whole = working_grid(source, "RAS", spacing_mm)
    crop = working_grid(source, "RAS", spacing_mm, (10, 3, 6))
    expected = to_working(image, source, whole, label=False)
    depth, height, width = expected.shape
    assert (depth - 6, height - 3, width - 10) == (4, 3, 7)
    np.testing.assert_array_equal(
        to_working(image, source, crop, label=False), expected[2:8, 1:4, 3:13]
    )


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".nii.gz", ".nii"])
def test_every_file_format_gives_the_same_volume_on_the_same_grid(
    tmp_path: Path, ending: str
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


def test_grids_match_to_a_thousandth_of_a_voxel() -> None:
    grid = grid_of("RAS", spacing_mm=(1, 1, 1))
    for shift_mm, same in ((5e-4, True), (5e-3, False)):
        moved = grid.matrix.copy()
        moved[0, 3] += shift_mm
        assert grid.matches(make_grid(SHAPE, moved)) is same
    assert not grid.matches(grid_of("RAS", shape=(7, 6, 4), spacing_mm=(1, 1, 1)))
    assert not grid.matches(grid_of("LAS", spacing_mm=(1, 1, 1)))


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


def test_prediction_keeps_the_grid_and_the_codes_of_its_source(tmp_path: Path) -> None:
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


def test_prediction_for_a_source_without_sform_has_none(tmp_path: Path) -> None:
    source = nib.Nifti1Image(numbered(SHAPE), None)
    source.set_qform(grid_of("LAS").matrix, code=1)
    source.set_sform(None, code=0)
    source.to_filename(tmp_path / "source.nii")
    write_label(tmp_path / "label.nii", np.ones(SHAPE, np.uint8), tmp_path / "source.nii")
    written = nib.Nifti1Image.from_filename(tmp_path / "label.nii")
    assert (int(written.header["qform_code"]), int(written.header["sform_code"])) == (1, 0)
    np.testing.assert_allclose(written.affine, grid_of("LAS").matrix, atol=1e-6)


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


@pytest.mark.parametrize(
    ("largest", "factor"),
    [
        (0.0, 1),
        (1e-9, 2**-44),
        (1.0, 2**-15),
        (16384.0, 2**-1),
        (32768.0, 1),
        (32769.0, 2),
        (65536.0, 2),
        (65537.0, 4),
        (-7e4, 4),
        (1.5e6, 64),
    ],
)
def test_halving_divides_by_the_smallest_power_of_two_that_fits(
    largest: float, factor: float
) -> None:
    image = np.array([0.0, largest / 3, largest], np.float32)
    halved = halve(image)
    assert halved.dtype == np.float16
    assert np.isfinite(halved).all()
    np.testing.assert_array_equal(halved, (image / factor).astype(np.float16))
    np.testing.assert_allclose(halved.astype(np.float64) * factor, image, rtol=2**-11)


def test_halving_is_exact_where_float16_is() -> None:
    integers = np.random.default_rng(0).integers(-2048, 2049, (5, 6, 7, 2))
    integers[0, 0, 0, 0] = 2048
    for power in range(10):
        image = integers.astype(np.float64) * 2**power
        factor = 2.0 ** (power - 4)
        np.testing.assert_array_equal(halve(image).astype(np.float64) * factor, image)
