"""A region's two masks: what they refuse, what is computed once, and components."""

import numpy as np
import pytest

from tfadv.evaluation import masks
from tfadv.evaluation.masks import (
    Masks,
    count_components,
    euler_characteristic,
    where_annotated,
)
from tfrecords.sources.subject import IGNORED

UNIT_MM = (1.0, 1.0, 1.0)


def cube() -> np.ndarray:
    mask = np.zeros((5, 6, 7), bool)
    mask[1:4, 1:4, 1:4] = True
    return mask


def test_count_components_counts_every_class_and_the_background() -> None:
    labels = np.zeros((3, 3, 5), np.uint8)
    assert count_components(labels) == 1
    labels[:, :, 2] = 7  # A wall, with background on both sides.
    assert count_components(labels) == 3
    labels[0, 0, 0] = labels[1, 1, 1] = 254  # Joined by a corner.
    assert count_components(labels) == 4
    labels[2, 2, 4] = 254  # Of the same class, behind the wall.
    assert count_components(labels) == 5
    labels[1, 1, 2] = 3  # In a hole of the wall, which stays in one piece.
    assert count_components(labels) == 6
    assert count_components(labels.astype(np.int16) - 7) == 6


def test_voxels_that_nobody_annotated_are_in_no_component() -> None:
    labels = np.zeros((3, 3, 5), np.uint8)
    labels[:, :, 2] = IGNORED  # A wall, with background on both sides.
    assert count_components(labels) == 2
    labels[1, 1, 2] = 1
    assert count_components(labels) == 3
    assert count_components(np.full_like(labels, IGNORED)) == 0


def test_voxels_that_nobody_annotated_are_outside_of_nothing() -> None:
    pair = Masks(cube(), np.zeros_like(cube()), UNIT_MM, ignored=50)
    assert pair.outside_reference == pair.in_neither == 5 * 6 * 7 - 27 - 50


def test_predictions_are_taken_where_somebody_annotated() -> None:
    reference, prediction = np.array([[0, IGNORED, 1]], np.uint8), np.array([[1, 1, 0]], np.uint8)
    found = where_annotated(prediction, reference)
    assert found.dtype == np.uint8
    assert found.tolist() == [[1, IGNORED, 0]]


def test_surfaces_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    library = masks.surface_distance
    calls = []
    original = library.compute_surface_distances
    monkeypatch.setattr(
        library, "compute_surface_distances", lambda *given: calls.append(1) or original(*given)
    )
    pair = Masks(cube(), np.roll(cube(), 1, axis=2), (1.0, 1.0, 2.0))
    assert pair.surface_distances_mm == pair.surface_distances_mm
    assert pair.surface_distances_mm[0] == 2
    assert calls == [1]


def test_shapes_that_differ_are_both_named() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4, 5\).*\(3, 5, 4\)"):
        Masks(np.zeros((3, 4, 5), bool), np.zeros((3, 5, 4), bool), UNIT_MM)


def test_label_maps_and_bad_spacings_are_refused() -> None:
    mask = cube()
    with pytest.raises(ValueError, match=r"must be bool.*uint8"):
        Masks(mask.astype(np.uint8), mask, UNIT_MM)
    with pytest.raises(ValueError, match=r"positive sizes.*0\.0"):
        Masks(mask, mask, (0.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"integers.*float64"):
        count_components(np.zeros((2, 2, 2)))


def shape_of(*boxes: tuple[int, int, int, int, int, int]) -> np.ndarray:
    """Cubes (from z, to z, from y, ...) set in turn, every second one taken out again."""
    mask = np.zeros((9, 9, 9), bool)
    for number, (z, zz, y, yy, x, xx) in enumerate(boxes):
        mask[z:zz, y:yy, x:xx] = not number % 2
    return mask


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (shape_of(), 0),
        (shape_of((4, 5, 4, 5, 4, 5)), 1),
        (shape_of((0, 9, 0, 9, 0, 9)), 1),
        (shape_of((1, 8, 1, 8, 1, 8), (3, 6, 3, 6, 3, 6)), 2),  # A cavity.
        (shape_of((1, 8, 1, 8, 1, 8), (0, 9, 3, 6, 3, 6)), 0),  # A tunnel.
        (np.eye(9, dtype=bool)[None].repeat(1, 0), 1),  # One component, by corners.
    ],
)
def test_euler_characteristic_counts_components_tunnels_and_cavities(
    mask: np.ndarray, expected: int
) -> None:
    assert euler_characteristic(mask) == expected


def test_boundary_dice_of_plates_one_voxel_apart() -> None:
    plate, other = np.zeros((2, 6, 8, 8), bool)
    plate[2:4], other[3:5] = True, True
    assert Masks(plate, other, (1.0, 1.0, 1.0)).boundary_dice == pytest.approx(1.0)
    assert Masks(plate, plate, (3.0, 1.0, 1.0)).boundary_dice == 1.0
    # Their rims alone lie within 1 mm then.
    assert Masks(plate, other, (3.0, 1.0, 1.0)).boundary_dice < 0.6
    empty = np.zeros_like(plate)
    assert Masks(empty, empty, (1.0, 1.0, 1.0)).boundary_dice == 1.0
    assert Masks(empty, plate, (1.0, 1.0, 1.0)).boundary_dice == 0.0
