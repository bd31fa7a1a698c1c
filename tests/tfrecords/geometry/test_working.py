"""From files' grids to working grids, and back."""

from collections.abc import Callable

import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from tests.tfrecords.geometry.turned import (
    OBLIQUE_DEG,
    SHAPE,
    SOURCES,
    numbered,
    world_of_voxels,
)
from tfrecords.geometry.grid import Grid, working_grid
from tfrecords.geometry.resample import maps_to_source, to_source, to_working


def centre_mm(mask: np.ndarray, grid: Grid) -> np.ndarray:
    return apply_affine(grid.matrix, ndimage.center_of_mass(mask))


@pytest.mark.parametrize("working_codes", ["RAS", "LPI", "SRA"])
@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_label_map_comes_back_voxel_for_voxel(
    grid_of: Callable[..., Grid], codes: str, angles_deg: tuple[float, ...], working_codes: str
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
    grid_of: Callable[..., Grid], codes: str, angles_deg: tuple[float, ...]
) -> None:
    source = grid_of(codes, angles_deg)
    working = working_grid(source, "RAS", None)
    image = numbered(SHAPE)
    there = to_working(image, source, working, label=False)
    voxels = apply_affine(np.linalg.inv(working.matrix), world_of_voxels(source))
    np.testing.assert_allclose(voxels, np.rint(voxels), atol=1e-9)
    x, y, z = np.rint(voxels).astype(int).T
    np.testing.assert_array_equal(there[z, y, x], image.ravel())


def test_las_is_mirrored_along_x_and_psr_permuted(grid_of: Callable[..., Grid]) -> None:
    image = numbered(SHAPE)
    las, psr = grid_of("LAS"), grid_of("PSR")
    from_las = to_working(image, las, working_grid(las, "RAS", None), label=False)
    np.testing.assert_array_equal(from_las, image[::-1].transpose(2, 1, 0))
    # PSR: the first axis points backwards (y), the second up (z), the third right (x).
    from_psr = to_working(image, psr, working_grid(psr, "RAS", None), label=False)
    np.testing.assert_array_equal(from_psr, image[::-1].transpose(1, 0, 2))


@pytest.mark.parametrize("angles_deg", [(0, 0, 45), (45, 45, 0), (45, 0, 135), (45, 45, 45)])
def test_halfway_between_two_orientations_nothing_is_swapped(
    grid_of: Callable[..., Grid],
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


@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_resampling_keeps_a_structure_in_its_place_and_back(
    grid_of: Callable[..., Grid], codes: str, angles_deg: tuple[float, ...]
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
    grid_of: Callable[..., Grid], codes: str, angles_deg: tuple[float, ...]
) -> None:
    """Linear interpolation of a linear function is that function."""
    source = grid_of(codes, angles_deg, (12, 10, 9))
    slope = np.array([2.0, -3.0, 5.0])
    image = (world_of_voxels(source) @ slope).reshape(source.shape).astype(np.float32)
    working = working_grid(source, "RAS", (1.3, 2.1, 1.7))
    there = to_working(image, source, working, label=False).T
    expected = (world_of_voxels(working) @ slope).reshape(working.shape)
    inside = (slice(2, -2),) * 3  # Beyond the source's outermost centres its edge is repeated.
    np.testing.assert_allclose(there[inside], expected[inside], atol=1e-3)


@pytest.mark.parametrize("kept", [0, 1, 2])
@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_along_an_axis_that_keeps_its_spacing_slices_are_the_sources(
    grid_of: Callable[..., Grid], codes: str, angles_deg: tuple[float, ...], kept: int
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


def test_resampled_integers_are_rounded_not_cut(grid_of: Callable[..., Grid]) -> None:
    source = grid_of("RAS", shape=(4, 2, 2), spacing_mm=(1, 1, 1))
    image = np.full(source.shape, 10, np.int16)
    image[2:] = 11
    working = working_grid(source, "RAS", (0.25, 1, 1))
    there = to_working(image, source, working, label=False)
    assert there.dtype == np.int16
    assert there[0, 0].tolist() == [10] * 8 + [11] * 8


CROPS = [(4, 3, 9), (3, 6, 1), (6, 5, 4), (7, 9, 5)]


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("working_codes", ["RAS", "SRA"])
@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_label_map_of_a_crop_comes_back_voxel_for_voxel_amid_background(
    grid_of: Callable[..., Grid],
    codes: str,
    angles_deg: tuple[float, ...],
    working_codes: str,
    crop: tuple[int, ...],
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


def test_cropped_intensities_are_those_of_the_source_even_if_no_float32_holds_them(
    grid_of: Callable[..., Grid],
) -> None:
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
        (12, 5, 2, [0] + [1] * 10 + [0]),
        (12, 5, 1, [0] + [1] * 5 + [0] * 6),
        # Eleven become eight, which reach beyond them by almost a quarter of one.
        (11, 1.46, 8, [1] * 11),
        (11, 1.46, 7, [1] * 10 + [0]),
        # Five become three, which reach beyond them by half of one; two would end on centres.
        (5, 2, 3, [1] * 5),
        (9, 2, 5, [1] * 9),
    ],
)
def test_beyond_the_field_of_view_of_a_resampled_crop_is_background(
    grid_of: Callable[..., Grid], voxels: int, spacing_mm: float, crop: int, expected: list[int]
) -> None:
    for codes in ("RAS", "LAS"):
        source = grid_of(codes, shape=(voxels, 3, 2), spacing_mm=(1, 1, 1))
        working = working_grid(source, codes, (spacing_mm, 1, 1), (crop, 3, 2))
        assert working.shape == (crop, 3, 2)
        back = to_source(np.ones((2, 3, crop), np.uint8), working, source)
        np.testing.assert_array_equal(back, np.tile(expected, (2, 3, 1)).T)


def test_resampled_crop_is_a_part_of_the_resampled_volume(grid_of: Callable[..., Grid]) -> None:
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


@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_probabilities_come_back_linearly_and_sum_to_one(
    grid_of: Callable[..., Grid], codes: str, angles_deg: tuple[float, ...]
) -> None:
    source = grid_of(codes, angles_deg, (12, 10, 9))
    slope = np.array([0.01, -0.02, 0.015])

    def of(grid: Grid) -> np.ndarray:
        """[X, Y, Z]: a linear function of the place, within 0 and 1."""
        return 0.5 + ((world_of_voxels(grid) - centre) @ slope).reshape(grid.shape)

    centre = world_of_voxels(source).mean(axis=0)
    working = working_grid(source, "RAS", (1.3, 2.1, 1.7))
    foreground = of(working).T.astype(np.float32)
    maps = np.stack([1 - foreground, foreground], axis=-1)
    back = maps_to_source(maps, np.array([1, 0], np.float32), working, source)
    assert back.shape == (12, 10, 9, 2)
    inside = (slice(2, -2),) * 3  # Beyond the outermost centres the edge is repeated.
    np.testing.assert_allclose(back[inside][..., 1], of(source)[inside], atol=1e-5)
    np.testing.assert_allclose(back.sum(axis=-1), 1, atol=1e-6)


def test_probabilities_beyond_a_crop_are_those_outside(grid_of: Callable[..., Grid]) -> None:
    source = grid_of("LAS", (0, 0, 0), (8, 6, 5))
    working = working_grid(source, "RAS", None, (4, 2, 5))
    maps = np.full((5, 2, 4, 2), 0.25, np.float32)
    back = maps_to_source(maps, np.array([1, 0], np.float32), working, source)
    inside = np.zeros(source.shape, bool)
    inside[2:6, 2:4] = True
    np.testing.assert_array_equal(back[inside], 0.25)
    np.testing.assert_array_equal(back[~inside], np.broadcast_to([1, 0], back[~inside].shape))
