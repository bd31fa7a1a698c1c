import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec
from scipy.spatial.transform import Rotation

from tfrecords.geometry import registration
from tfrecords.geometry.grid import Grid, make_grid
from tfrecords.geometry.overlap import dice

FINE_MM, COARSE_MM = (0.5, 0.5, 3.0), (2.0, 2.0, 3.0)


def grid(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, ...],
    degrees: tuple[float, ...] = (0, 0, 0),
    centre: tuple[float, ...] = (0, 0, 0),
) -> Grid:
    """A rotated grid around a point of the world."""
    axes = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * spacing_mm
    return make_grid(shape, from_matvec(axes, centre - axes @ (np.array(shape) - 1) / 2))


def places(where: Grid) -> np.ndarray:
    """World coordinates of all voxels, [X, Y, Z, 3]."""
    return apply_affine(where.matrix, np.moveaxis(np.indices(where.shape), 0, -1))


def crescent(where: Grid, centre: tuple[float, ...] = (0, 0, 0)) -> np.ndarray:
    """An ellipsoid without a smaller one at its front, like a peripheral zone."""
    offset = places(where) - centre
    outer = np.sum((offset / [24, 16, 20]) ** 2, axis=-1) < 1
    return outer & (np.sum(((offset - [0, 6, 2]) / [18, 14, 16]) ** 2, axis=-1) > 1)


GRIDS = {
    "T2w": grid((136, 112, 21), FINE_MM),
    "ADC": grid((48, 40, 23), COARSE_MM, centre=(3, -2, 1)),
    "oblique T2w": grid((136, 112, 21), (-0.5, 0.5, 3.0), (12, -5, 8)),
    "oblique ADC": grid((48, 40, 23), (-2.0, -2.0, 3.0), (9, 4, -6), (2, 1, -1)),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moving", "fixed", "shift_mm"),
    [
        ("ADC", "T2w", (3.3, 0, 0)),
        ("ADC", "T2w", (0, -2.7, 0)),
        ("ADC", "T2w", (0, 0, 4.4)),
        ("ADC", "T2w", (0, 0, -1.3)),
        ("T2w", "T2w", (0.8, 0.7, -0.9)),
        ("oblique ADC", "oblique T2w", (5.2, -3.6, 4.1)),
        ("oblique ADC", "T2w", (-0.3, -4.9, -2.5)),
    ],
)
def test_shifts_of_parts_of_voxels_are_found(
    moving: str, fixed: str, shift_mm: tuple[float, float, float]
) -> None:
    drawn = crescent(GRIDS[moving], tuple(-np.array(shift_mm)))
    target = crescent(GRIDS[fixed])
    found = registration.register(drawn, GRIDS[moving], target, GRIDS[fixed])
    error_mm = np.abs(np.subtract(found.shift_mm, shift_mm))
    assert (error_mm < [0.2, 0.2, 0.3]).all(), error_mm
    assert found.dice_after > max(0.9, found.dice_before)


def test_a_mask_stays_where_moving_it_does_not_raise_the_dice() -> None:
    small = grid((20, 20, 10), COARSE_MM)
    mask = crescent(small) & (np.indices(small.shape)[0] < 14)
    found = registration.register(mask, small, mask, small)
    assert found == registration.Registration((0.0, 0.0, 0.0), 1.0, 1.0)


@pytest.mark.slow
def test_registration_never_lowers_the_dice() -> None:
    small = grid((20, 20, 10), COARSE_MM)
    random = np.random.default_rng(0)
    for _ in range(3):
        first, second = random.random((2, *small.shape)) < 0.01
        second[:, :10] = first[:, :10]
        second[:, 15:] = False
        found = registration.register(second, small, first, small)
        assert found.dice_after >= found.dice_before == dice(first, second)


def test_masks_at_the_edge_of_their_volume_are_registered() -> None:
    edge = grid((68, 30, 21), (0.5, 0.5, 3.0), centre=(10, -8, 0))
    fixed = crescent(edge)
    assert fixed[:, 0].any()
    assert fixed[:, -1].any()
    found = registration.register(np.roll(fixed, 4, axis=0), edge, fixed, edge)
    assert found.dice_after >= found.dice_before


def test_coverage_is_the_share_within_the_moved_field_of_view() -> None:
    where = grid((10, 1, 1), (1, 1, 1))
    view = grid((6, 3, 3), (1, 1, 1), centre=(-2, 0, 0))  # Of x from -5 to 1.
    mask = np.zeros(where.shape, bool)
    mask[3:8] = True  # Centres from -1.5 to 2.5.
    assert registration.coverage(mask, where, view, (0, 0, 0)) == pytest.approx(0.6)
    assert registration.coverage(mask, where, view, (2, 0, 0)) == 1
    assert registration.coverage(mask, where, view, (-4, 0, 0)) == 0


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0, 2, 3], [0, 2, 3], [0, 2, 3]),
        ([0, 2, 2, 0], [0, 0, 2, 3], [0, 0, 2, 0]),  # What one alone sees.
        ([2, 2, 2, 3, 3, 3], [2, 2, 3, 2, 3, 3], [2, 2, 2, 3, 3, 3]),  # The nearest.
        ([2, 2, 0, 3], [3, 0, 0, 3], [3, 0, 0, 3]),  # However far it is.
        ([2, 3], [3, 2], [0, 0]),  # Agreed nowhere.
    ],
)
def test_fusion_is_consensus_without_holes(
    first: list[int], second: list[int], expected: list[int]
) -> None:
    maps = (np.array(line, np.uint8).reshape(-1, 1, 1) for line in (first, second))
    fused = registration.fuse(*maps, (1.0, 1.0, 1.0))
    assert fused.ravel().tolist() == expected
    assert fused.dtype == np.uint8


def test_the_nearest_class_is_nearest_in_millimetres() -> None:
    first = np.zeros((3, 1, 2), np.uint8)
    first[:, 0, 0] = 1, 2, 2
    first[0, 0, 1] = 3
    second = first.copy()
    second[0, 0, 0] = 3
    second[1, 0, 0] = 0
    # Two voxels of 0.5 mm along x are nearer than one of 3 mm along z.
    assert registration.fuse(first, second, FINE_MM)[0, 0, 0] == 2
    assert registration.fuse(first, second, (2.0, 2.0, 3.0))[0, 0, 0] == 3
