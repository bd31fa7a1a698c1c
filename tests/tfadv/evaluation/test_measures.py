"""Masks with known answers, the rule for empty masks, and SimpleITK as a second opinion."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from tfadv.evaluation import measures
from tfadv.evaluation.measures import region_metrics

UNIT_MM = (1.0, 1.0, 1.0)
ANISOTROPIC_MM = (2.0, 0.5, 0.8)
VOXEL_ML = 0.8e-3
Triple = tuple[int, int, int]


def box(shape: Triple, start: Triple, size: Triple = (1, 1, 1)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))] = True
    return mask


def sphere(radius: float, width: int = 40) -> np.ndarray:
    z, y, x = (axis - width / 2 for axis in np.ogrid[:width, :width, :width])
    return np.asarray(z**2 + y**2 + x**2 <= radius**2)


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two masks [16, 40, 32] of smooth noise that agree in part."""
    fields = np.random.default_rng(seed).normal(size=(3, 16, 40, 32))
    common, first, second = (ndimage.gaussian_filter(field, (1.5, 4, 3)) for field in fields)
    return common + first > 0.03, common + second > 0.03


def itk_image(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing_mm[::-1])
    return image


def itk_distances_mm(source: sitk.Image, target: sitk.Image) -> np.ndarray:
    """From the voxels of one mask's contour to the other's contour, centre to centre."""
    distance = sitk.SignedMaurerDistanceMap(target, squaredDistance=False, useImageSpacing=True)
    contour = sitk.GetArrayFromImage(sitk.LabelContour(source)) > 0
    return np.abs(sitk.GetArrayFromImage(distance))[contour]


def test_columns_are_floats_in_the_fixed_order() -> None:
    values = region_metrics(sphere(5), sphere(6), UNIT_MM)
    assert list(values) == measures.names()
    assert {type(value) for value in values.values()} == {float}


def test_overlap_of_a_case_counted_by_hand() -> None:
    reference = np.array([[[1, 1], [1, 0]], [[0, 0], [0, 0]]], bool)
    prediction = np.array([[[1, 1], [0, 1]], [[1, 0], [0, 0]]], bool)
    values = region_metrics(reference, prediction, UNIT_MM)
    assert values["dice"] == pytest.approx(4 / 7)
    assert values["sensitivity"] == pytest.approx(2 / 3)
    assert values["specificity"] == pytest.approx(3 / 5)
    assert values["precision"] == pytest.approx(2 / 4)


def test_identical_masks_are_perfect() -> None:
    values = region_metrics(sphere(7), sphere(7), ANISOTROPIC_MM)
    for name in ("dice", "sensitivity", "specificity", "precision"):
        assert values[name] == 1
    assert values["hausdorff95_mm"] == values["average_surface_distance_mm"] == 0


def test_concentric_spheres_are_their_radii_apart() -> None:
    values = region_metrics(sphere(10), sphere(13), UNIT_MM)
    # Staircases of voxels bring round surfaces nearer to each other, by up to half a voxel.
    assert values["hausdorff95_mm"] == pytest.approx(3, abs=0.25)
    assert values["average_surface_distance_mm"] == pytest.approx(2.75, abs=0.25)
    assert values["sensitivity"] == 1
    assert values["precision"] == pytest.approx((10 / 13) ** 3, abs=0.01)


@pytest.mark.parametrize("start", [(7, 0, 0), (0, 7, 0), (0, 0, 7)])
def test_disjoint_shifted_cubes_in_anisotropic_voxels(start: Triple) -> None:
    width, shape = 4, (12, 12, 12)
    cubes = box(shape, (0, 0, 0), (width,) * 3), box(shape, start, (width,) * 3)
    values = region_metrics(*cubes, ANISOTROPIC_MM)
    # The far face, over 5 % of the surface, is the whole shift away from the other's near face.
    shift_mm = math.hypot(*np.multiply(start, ANISOTROPIC_MM))
    assert values["hausdorff95_mm"] == pytest.approx(shift_mm)
    hausdorff = sitk.HausdorffDistanceImageFilter()
    hausdorff.Execute(*(itk_image(cube, ANISOTROPIC_MM) for cube in cubes))
    assert values["hausdorff95_mm"] == pytest.approx(hausdorff.GetHausdorffDistance())
    # The surface's mean lies half a cube nearer.
    nearer_mm = shift_mm / 7 * width / 2
    assert values["average_surface_distance_mm"] == pytest.approx(shift_mm - nearer_mm)


def test_both_directions_of_the_average_weigh_the_same() -> None:
    # A voxel at the end of a long bar: about 0 mm one way, half the length of the bar the other.
    # Pooling both surfaces would give the bar's many samples nearly all the weight.
    length = 200
    voxel, bar = box((1, 1, length), (0, 0, 0)), box((1, 1, length), (0, 0, 0), (1, 1, length))
    values = region_metrics(voxel, bar, UNIT_MM)
    assert values["average_surface_distance_mm"] == pytest.approx(length / 4, rel=0.02)
    assert values["hausdorff95_mm"] == pytest.approx(0.95 * length, rel=0.01)
    assert region_metrics(bar, voxel, UNIT_MM)["hausdorff95_mm"] == values["hausdorff95_mm"]


def test_a_mask_at_the_volumes_border_is_measured_as_inside() -> None:
    shape = (9, 9, 9)
    masks = box(shape, (0, 0, 0), (9, 5, 4)), box(shape, (1, 2, 0), (8, 7, 8))
    at_border = region_metrics(*masks, ANISOTROPIC_MM)
    inside = region_metrics(np.pad(masks[0], 3), np.pad(masks[1], 3), ANISOTROPIC_MM)
    del at_border["specificity"], inside["specificity"]
    assert at_border == pytest.approx(inside, nan_ok=True)


def test_volume_of_a_box_in_millilitres() -> None:
    shape = (20, 20, 20)
    masks = box(shape, (0, 0, 0), (10, 10, 10)), box(shape, (2, 3, 4), (5, 4, 2))
    values = region_metrics(*masks, ANISOTROPIC_MM)
    assert values["reference_volume_ml"] == pytest.approx(0.8)
    assert values["volume_ml"] == pytest.approx(0.032)


def test_components_join_across_edges_and_corners() -> None:
    shape = (5, 5, 5)
    corner = box(shape, (0, 0, 0)) | box(shape, (1, 1, 1))
    edge = box(shape, (4, 4, 4)) | box(shape, (4, 3, 3))
    apart = box(shape, (0, 0, 4)) | box(shape, (0, 2, 4))
    values = region_metrics(corner, corner | edge | apart, UNIT_MM)
    assert values["reference_components"] == 1
    assert values["components"] == 4


def test_both_masks_empty() -> None:
    empty = np.zeros((4, 5, 6), bool)
    values = list(region_metrics(empty, empty, UNIT_MM).values())
    nan = math.nan
    expected = [1, nan, 1, nan, 0, 0, 1, nan, 0, 0, 0, 0, 0, 0, nan, nan]
    assert values == pytest.approx(expected, nan_ok=True)


def test_one_mask_empty_costs_the_diagonal() -> None:
    shape = (2, 6, 15)  # 4 x 3 x 12 mm, whose diagonal is 13 mm.
    empty, voxel = np.zeros(shape, bool), box(shape, (0, 0, 0))
    nan = math.nan
    invented = list(region_metrics(empty, voxel, ANISOTROPIC_MM).values())
    assert invented == pytest.approx(
        [0, nan, 179 / 180, 0, 13, 13, 0, nan, 0, VOXEL_ML, 1, 0, 1, 0, nan, nan], nan_ok=True
    )
    missed = list(region_metrics(voxel, empty, ANISOTROPIC_MM).values())
    assert missed == pytest.approx(
        [0, 0, 1, nan, 13, 13, 0, -1, VOXEL_ML, 0, 0, 1, 0, 1, nan, nan], nan_ok=True
    )


def test_empty_mm_is_charged_where_exactly_one_mask_is_empty() -> None:
    shape = (2, 6, 15)
    empty, voxel = np.zeros(shape, bool), box(shape, (0, 0, 0))
    far = box(shape, (0, 0, 14))  # 14 voxels of 0.8 mm away.
    for masks, expected_mm in (
        ((empty, voxel), 373.13),
        ((voxel, empty), 373.13),
        ((empty, empty), 0),
        ((voxel, far), 11.2),
    ):
        values = region_metrics(*masks, ANISOTROPIC_MM, empty_mm=373.13)
        assert values["hausdorff95_mm"] == pytest.approx(expected_mm)
        assert values["average_surface_distance_mm"] == pytest.approx(expected_mm, abs=0.8)
    assert region_metrics(empty, voxel, UNIT_MM, empty_mm=0.0)["hausdorff95_mm"] == 0


def test_the_diagonal_is_what_brats_charges() -> None:
    empty = np.zeros((155, 240, 240), bool)
    voxel = box((155, 240, 240), (70, 100, 100))
    assert region_metrics(voxel, empty, UNIT_MM)["hausdorff95_mm"] == pytest.approx(373.12866)


def test_a_reference_that_fills_the_volume_has_no_specificity() -> None:
    values = region_metrics(np.ones((3, 3, 3), bool), box((3, 3, 3), (0, 0, 0)), UNIT_MM)
    assert math.isnan(values["specificity"])
    assert values["precision"] == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_simpleitk_agrees_on_random_blobs(seed: int) -> None:
    masks = blobs(seed)
    values = region_metrics(*masks, ANISOTROPIC_MM)
    images = [itk_image(np.pad(mask, 1), ANISOTROPIC_MM) for mask in masks]
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    assert values["dice"] == pytest.approx(overlap.GetDiceCoefficient())
    components = sitk.ConnectedComponentImageFilter()
    components.FullyConnectedOn()
    components.Execute(images[1])
    assert values["components"] == components.GetObjectCount()
    # SimpleITK measures from voxel centres, unweighted: equal but for part of a voxel.
    directed_mm = itk_distances_mm(*images), itk_distances_mm(*images[::-1])
    hausdorff95_mm = max(np.percentile(distances, 95) for distances in directed_mm)
    assert values["hausdorff95_mm"] == pytest.approx(hausdorff95_mm, abs=1.3)
    average_mm = np.mean([distances.mean() for distances in directed_mm])
    assert values["average_surface_distance_mm"] == pytest.approx(average_mm, rel=0.2)
