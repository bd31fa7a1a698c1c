"""The one rule by which voxels are brought to another grid."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage

from tests.tfrecords.geometry.turned import OBLIQUE_DEG, SOURCES, numbered, world_of_voxels
from tfrecords.geometry.grid import Grid, make_grid, working_grid
from tfrecords.geometry.nifti import read_volume, write_image
from tfrecords.geometry.resample import onto_first, to_grid


def first_at(shape: tuple[int, int, int], x_mm: float) -> Grid:
    """Voxels of 1 mm, the first at x."""
    affine = np.eye(4)
    affine[0, 3] = x_mm
    return make_grid(shape, affine)


def smooth(source: Grid) -> np.ndarray:
    """An image without noise, positive everywhere."""
    noise = np.random.default_rng(0).standard_normal(source.shape)
    return 500 + 1000 * ndimage.gaussian_filter(noise, 1.5)


@pytest.mark.parametrize(("codes", "angles_deg"), SOURCES)
def test_images_are_interpolated_as_scipy_does_and_zero_beyond_their_field_of_view(
    grid_of: Callable[..., Grid], codes: str, angles_deg: tuple[float, ...]
) -> None:
    """SciPy, too, repeats the edge from the outermost centres to their voxels' faces."""
    source = grid_of(codes, angles_deg, (13, 11, 9))
    turned = grid_of("RAS", (3, 5, -7), (31, 33, 35), (0.9, 1.1, 1.3))
    middle = world_of_voxels(source).mean(axis=0) - world_of_voxels(turned).mean(axis=0)
    target = make_grid(turned.shape, from_matvec(np.eye(3), middle) @ turned.matrix)
    image = smooth(source)
    voxels = apply_affine(np.linalg.inv(source.matrix), world_of_voxels(target)).T
    extents = np.array(source.shape)[:, None]
    within = np.all((voxels > -0.49) & (voxels < extents - 0.51), axis=0)
    beyond = np.any((voxels < -0.51) | (voxels > extents - 0.49), axis=0)
    rim = within & np.any((voxels < 0) | (voxels > extents - 1), axis=0)
    found = to_grid(image, source, target).ravel()
    expected = ndimage.map_coordinates(image, voxels, order=1, mode="nearest")
    np.testing.assert_allclose(found[within], expected[within], rtol=1e-9)
    assert rim.sum() > 50
    assert beyond.sum() > 50
    assert not found[beyond].any()


def test_a_sheared_grid_is_resampled_by_its_affine() -> None:
    affine = np.array([[1.0, 0.3, 0, 4], [0, 1.2, 0.2, -3], [0, 0, 2, 1], [0, 0, 0, 1]])
    source, target = make_grid((14, 12, 10), affine), make_grid((9, 8, 7), np.diag([1, 1, 1, 1]))
    image = smooth(source)
    voxels = apply_affine(np.linalg.inv(affine), world_of_voxels(target)).T
    within = np.all((voxels > 0) & (voxels < np.array(source.shape)[:, None] - 1), axis=0)
    expected = ndimage.map_coordinates(image, voxels, order=1)
    assert within.sum() > 50
    np.testing.assert_allclose(
        to_grid(image, source, target).ravel()[within], expected[within], rtol=1e-9
    )


def test_a_label_has_the_largest_share_of_a_voxel() -> None:
    """By hand: between two voxels, the nearer one's; of three classes, none in between."""
    source = make_grid((3, 1, 1), np.eye(4))
    label = np.array([1, 7, 3], np.uint8).reshape(source.shape)
    for place, expected in ((0.4, 1), (0.6, 7), (1.4, 7), (1.6, 3), (-0.4, 1), (2.4, 3), (2.6, 0)):
        assert to_grid(label, source, first_at((1, 1, 1), place), label=True) == expected


@pytest.mark.parametrize("label", [False, True])
def test_resampling_gives_the_same_bits_again(grid_of: Callable[..., Grid], label: bool) -> None:
    """However many threads share the work."""
    source = grid_of("PSR", OBLIQUE_DEG, (61, 53, 47))
    target = working_grid(source, "RAS", (0.7, 1.1, 1.9))
    image = (smooth(source) / 100).astype(np.uint8) if label else smooth(source)
    first = to_grid(image, source, target, label=label)
    for _ in range(5):
        np.testing.assert_array_equal(to_grid(image, source, target, label=label), first)


def test_files_are_brought_onto_the_first_ones_grid(
    grid_of: Callable[..., Grid], tmp_path: Path
) -> None:
    first, second = grid_of("LPS"), grid_of("RAS", OBLIQUE_DEG, (9, 9, 9))
    for name, grid in (("first", first), ("second", second)):
        write_image(tmp_path / f"{name}.nii.gz", numbered(grid.shape), grid)
    names = ("first", "second")
    volume, grid = onto_first([read_volume(tmp_path / f"{name}.nii.gz") for name in names])
    assert grid.matches(first)
    np.testing.assert_array_equal(volume[..., 0], numbered(first.shape))
    expected = to_grid(numbered(second.shape), second, first)
    # A file holds its affine in single precision.
    np.testing.assert_allclose(volume[..., 1], expected, atol=1)


@pytest.mark.parametrize("dtype", ["<u2", ">i2", "<f4"])
def test_integers_are_rounded_and_keep_their_type(dtype: str) -> None:
    source, target = make_grid((4, 1, 1), np.eye(4)), first_at((3, 1, 1), 0.5)
    image = np.array([0, 3, 4, 10], dtype).reshape(source.shape)
    found = to_grid(image, source, target)
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    halves = [1.5, 3.5, 7.0] if dtype == "<f4" else [2, 4, 7]
    assert found.ravel().tolist() == halves


def test_images_move_by_the_shift_in_the_world() -> None:
    where = make_grid((6, 5, 4), np.diag([-1.0, -1.0, 2.0, 1.0]))
    image = np.zeros(where.shape, np.int16)
    image[3, 2, 1] = 7
    moved = to_grid(image, where, where, (2.0, -1.0, 2.0))
    assert np.argwhere(moved).tolist() == [[1, 3, 2]]
    np.testing.assert_array_equal(to_grid(image, where, where), image)


def test_labels_are_never_mixed() -> None:
    source = make_grid((4, 1, 1), np.diag([2, 1, 1, 1]))
    target = first_at((8, 1, 1), -0.5)
    label = np.array([0, 3, 3, 1], np.uint8).reshape(source.shape)
    found = to_grid(label, source, target, label=True)
    assert found.ravel().tolist() == [0, 0, 3, 3, 3, 3, 1, 1]
    assert found.dtype == np.uint8
