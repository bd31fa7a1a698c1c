"""Bringing two annotations of one patient together.

Arrays are [X, Y, Z]; shifts are millimetres along the axes x, y, z of the world (RAS+) and say how
far something is moved.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage

from tfrecords.geometry.grid import Grid, make_grid
from tfrecords.geometry.overlap import dice
from tfrecords.geometry.resample import (
    NO_SHIFT,
    TO_LPS,
    Shift,
    itk_image,
    itk_resample,
    to_grid,
    translation,
)

# Of the registration. All ours.
WIDTH_MM = 2.0  # Smallest standard deviation of the Gaussian that smooths masks.
MARGIN_MM = 12.0  # Around the fixed mask, within which masks are compared.
LONGEST_STEP_MM = 1.0
SHORTEST_STEP_MM = 0.01
STEPS = 100


@dataclass(frozen=True)
class Registration:
    """How far one mask was moved onto another, and their Dice before and after it."""

    shift_mm: Shift
    dice_before: float
    dice_after: float


def coverage(mask: np.ndarray, grid: Grid, field_of_view: Grid, shift_mm: Shift) -> float:
    """The share of a mask's voxels that lie within another grid, moved by a shift."""
    whole = np.ones(field_of_view.shape, np.uint8)
    covered = itk_resample(
        itk_image(whole, field_of_view), grid, shift_mm, sitk.sitkNearestNeighbor
    )
    return float(np.mean(sitk.GetArrayFromImage(covered).T[mask] > 0))


def register(
    moving: np.ndarray, moving_grid: Grid, fixed: np.ndarray, fixed_grid: Grid
) -> Registration:
    """The translation of one mask that maximises its overlap with another, none of them empty.

    Masks are smoothed and their mean squared difference is minimised. Translation leaves the
    integrals of both squares as they are, so what changes is the product's, the masks' overlap: its
    optimum is what is asked for, and smoothing makes it differentiable and finer than voxels.
    Signed distances would weigh voxels far from the overlap as well.

    Where that does not raise the Dice, the mask stays where it is.
    """
    # As wide as the coarsest voxel: slices 3 mm apart then have no gaps in between.
    width_mm = max(*moving_grid.spacing_mm, *fixed_grid.spacing_mm, WIDTH_MM)
    # Points that come to lie outside of the moving image would not count.
    reach_mm = _extent_mm(fixed, fixed_grid) / 2 + 2 * MARGIN_MM
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # Sums in a fixed order give the same bits.
    method.SetMetricAsMeanSquares()
    method.SetInterpolator(sitk.sitkLinear)
    # The masks are smooth: differences of neighbours do for derivatives.
    method.SetMetricUseFixedImageGradientFilter(False)
    method.SetMetricUseMovingImageGradientFilter(False)
    method.SetOptimizerAsRegularStepGradientDescent(
        LONGEST_STEP_MM, SHORTEST_STEP_MM, STEPS, gradientMagnitudeTolerance=1e-9
    )
    start = _centre_mm(fixed, fixed_grid) - _centre_mm(moving, moving_grid)
    method.SetInitialTransform(translation(tuple(start)), inPlace=False)
    found = method.Execute(
        _smooth(fixed, fixed_grid, width_mm, MARGIN_MM),
        _smooth(moving, moving_grid, width_mm, reach_mm),
    )
    x, y, z = -TO_LPS * found.TransformPoint(NO_SHIFT)
    before, after = (
        dice(to_grid(moving.astype(np.uint8), moving_grid, fixed_grid, s, label=True) > 0, fixed)
        for s in (NO_SHIFT, (x, y, z))
    )
    if after <= before:
        return Registration(NO_SHIFT, before, before)
    return Registration((float(x), float(y), float(z)), before, after)


def fuse(first: np.ndarray, second: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """The consensus of two label maps on one grid.

    Where both agree, the label stays. Where both see an organ but different classes of it, a voxel
    takes the class of the nearest voxel of the organ where they agree, so that no holes open within
    it. What only one of them sees is background.
    """
    agreed = np.where(first == second, first, 0)
    disputed = (first != second) & (first > 0) & (second > 0)
    if not agreed.any():
        return agreed
    (box,) = ndimage.find_objects(((agreed > 0) | disputed).astype(np.uint8))
    nearest = ndimage.distance_transform_edt(
        agreed[box] == 0, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    agreed[box] = np.where(disputed[box], agreed[box][tuple(nearest)], agreed[box])
    return agreed


def _centre_mm(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """World coordinates of a mask's centre of mass."""
    centre: np.ndarray = apply_affine(grid.matrix, ndimage.center_of_mass(mask))
    return centre


def _extent_mm(mask: np.ndarray, grid: Grid) -> float:
    """The longest edge of a mask's box."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    return max((s.stop - s.start) * mm for s, mm in zip(box, grid.spacing_mm, strict=True))


def _smooth(mask: np.ndarray, grid: Grid, width_mm: float, margin_mm: float) -> sitk.Image:
    """A mask and its surroundings, zero beyond its own grid, smoothed by a Gaussian of this
    standard deviation and sampled at half of it along all axes."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    pad = np.ceil((margin_mm + 3 * width_mm) / np.array(grid.spacing_mm)).astype(int)
    wide = np.pad(mask[box].astype(np.float32), np.stack([pad, pad], axis=-1))
    step = from_matvec(np.eye(3), np.array([s.start for s in box]) - pad)
    source = make_grid(wide.shape, grid.matrix @ step)
    smoothed = sitk.SmoothingRecursiveGaussian(itk_image(wide, source), width_mm)
    # Splines: linear interpolation between slices would blur, and draw the optimum between them.
    return itk_resample(smoothed, _even(source, width_mm / 2), NO_SHIFT, sitk.sitkBSpline)


def _even(grid: Grid, distance_mm: float) -> Grid:
    """The grid with samples at this distance along all axes, from the same first voxel on."""
    extents_mm = (np.array(grid.shape) - 1) * grid.spacing_mm
    scale = from_matvec(np.diag(distance_mm / np.array(grid.spacing_mm)), np.zeros(3))
    return make_grid(tuple((extents_mm // distance_mm).astype(int) + 1), grid.matrix @ scale)
