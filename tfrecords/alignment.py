"""Bringing the images and annotations of one patient onto one grid, and two annotations together.

Arrays are [X, Y, Z] and lie on grids of `tfrecords.volumes`; shifts are millimetres along the axes
x, y, z of the world (RAS+) and say how far something is moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import SimpleITK as sitk
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage

from tfrecords.errors import UserError
from tfrecords.volumes import Grid, make_grid, read

Shift: TypeAlias = tuple[float, float, float]

NO_SHIFT: Shift = (0.0, 0.0, 0.0)
TO_LPS = np.array([-1.0, -1.0, 1.0])  # ITK's world is LPS, ours RAS.

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


def to_grid(
    array: np.ndarray,
    source: Grid,
    target: Grid,
    shift_mm: Shift = NO_SHIFT,
    *,
    label: bool = False,
) -> np.ndarray:
    """Voxels of one grid, moved by a shift, on another; zero outside of the source.

    Images are interpolated linearly, and integers rounded. Of labels, every voxel takes the one of
    the largest share, where classes are interpolated linearly: outlines drawn on coarse voxels come
    without their steps.
    """
    if shift_mm == NO_SHIFT and source.matches(target):
        return array
    interpolator = sitk.sitkLabelLinear if label else sitk.sitkLinear
    # SimpleITK would cut integers' decimals off.
    image = _itk(array if label else array.astype(np.float64), source)
    moved = sitk.GetArrayFromImage(_resample(image, target, shift_mm, interpolator)).T
    if np.issubdtype(array.dtype, np.integer):
        moved = np.rint(moved)
    return np.ascontiguousarray(moved.astype(array.dtype.newbyteorder("=")))


def read_onto_first(images: Sequence[Path]) -> tuple[np.ndarray, Grid]:
    """One file per modality on the first one's grid [X, Y, Z, C], zero outside of their own.

    Raises:
        UserError: a file cannot be read, or is not 3D.
    """
    found = [read_image(path) for path in images]
    target = found[0][1]
    arrays = [to_grid(array, grid, target) for array, grid in found]
    return np.stack(arrays, axis=-1), target


def read_image(path: Path) -> tuple[np.ndarray, Grid]:
    """Voxels [X, Y, Z] and their grid. Raises UserError where there is no 3D image."""
    array, grid = read(path)
    if array.ndim != 3:
        raise UserError(f"{path}: expected a 3D image, received shape {array.shape}")
    return array, grid


def coverage(mask: np.ndarray, grid: Grid, field_of_view: Grid, shift_mm: Shift) -> float:
    """The share of a mask's voxels that lie within another grid, moved by a shift."""
    whole = np.ones(field_of_view.shape, np.uint8)
    covered = _resample(_itk(whole, field_of_view), grid, shift_mm, sitk.sitkNearestNeighbor)
    return float(np.mean(sitk.GetArrayFromImage(covered).T[mask] > 0))


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Dice of two masks; 1 of two empty ones."""
    voxels = np.count_nonzero(first) + np.count_nonzero(second)
    return float(2 * np.count_nonzero(first & second) / voxels) if voxels else 1.0


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
    method.SetInitialTransform(_translation(tuple(start)), inPlace=False)
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


def _itk(array: np.ndarray, grid: Grid) -> sitk.Image:
    native = np.ascontiguousarray(array.T, dtype=array.dtype.newbyteorder("="))
    image = sitk.GetImageFromArray(native)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.matrix[:3, 3] * TO_LPS)
    image.SetDirection(_direction(grid))
    return image


def _direction(grid: Grid) -> list[float]:
    """The unit vectors of a grid's axes in ITK's world, row by row."""
    axes = TO_LPS[:, None] * grid.matrix[:3, :3] / np.array(grid.spacing_mm)
    return [float(value) for value in axes.ravel()]


def _resample(image: sitk.Image, target: Grid, shift_mm: Shift, interpolator: int) -> sitk.Image:
    return sitk.Resample(
        image,
        target.shape,
        _translation(shift_mm),
        interpolator,
        tuple(target.matrix[:3, 3] * TO_LPS),
        target.spacing_mm,
        _direction(target),
    )


def _translation(shift_mm: tuple[float, ...]) -> sitk.TranslationTransform:
    """ITK's transforms lead from where a voxel comes to rest to where it is taken from."""
    return sitk.TranslationTransform(3, tuple(-TO_LPS * shift_mm))


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
    smoothed = sitk.SmoothingRecursiveGaussian(_itk(wide, source), width_mm)
    # Splines: linear interpolation between slices would blur, and draw the optimum between them.
    return _resample(smoothed, _even(source, width_mm / 2), NO_SHIFT, sitk.sitkBSpline)


def _even(grid: Grid, distance_mm: float) -> Grid:
    """The grid with samples at this distance along all axes, from the same first voxel on."""
    extents_mm = (np.array(grid.shape) - 1) * grid.spacing_mm
    scale = from_matvec(np.diag(distance_mm / np.array(grid.spacing_mm)), np.zeros(3))
    return make_grid(tuple((extents_mm // distance_mm).astype(int) + 1), grid.matrix @ scale)
