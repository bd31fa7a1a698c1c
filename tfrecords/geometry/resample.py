"""Bringing voxels from one grid to another: from files' grids to working grids and back.

In memory a volume is oriented (RAS+ unless told otherwise), maybe resampled, and held as
[Z, Y, X, C]. Shifts are millimetres along the axes x, y, z of the world (RAS+).
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import SimpleITK as sitk
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from tfrecords.geometry.grid import Grid, make_grid, uncropped
from tfrecords.geometry.nifti import Volume

Shift: TypeAlias = tuple[float, float, float]

NO_SHIFT: Shift = (0.0, 0.0, 0.0)
TO_LPS = np.array([-1.0, -1.0, 1.0])  # ITK's world is LPS, ours RAS.


def to_working(array: np.ndarray, source: Grid, working: Grid, *, label: bool) -> np.ndarray:
    """Source voxels [X, Y, Z] on the working grid, as [Z, Y, X]; see `to_grid`."""
    whole, margins = uncropped(working, source)
    there = to_grid(array, source, whole, label=label)
    box = tuple(
        slice(before, extent - after)
        for (before, after), extent in zip(margins, there.shape, strict=True)
    )
    return np.ascontiguousarray(there[box].T)


def to_source(label: np.ndarray, working: Grid, source: Grid) -> np.ndarray:
    """A label map [Z, Y, X] on the working grid, voxel for voxel on the source's grid [X, Y, Z].

    Background where the working grid was cropped, or does not reach.
    """
    return _to_source(label, working, source, label=True)


def maps_to_source(
    maps: np.ndarray, outside: np.ndarray, working: Grid, source: Grid
) -> np.ndarray:
    """Probabilities float32 [Z, Y, X, K] on the working grid, on the source's grid [X, Y, Z, K].

    Args:
        outside: [K], where the working grid was cropped, or does not reach.
    """
    there = np.empty((*source.shape, len(outside)), np.float32, order="F")
    for k, beyond in enumerate(outside):
        there[..., k] = beyond + _to_source(maps[..., k] - beyond, working, source, label=False)
    return there


def _to_source(array: np.ndarray, working: Grid, source: Grid, *, label: bool) -> np.ndarray:
    whole, margins = uncropped(working, source)
    return to_grid(np.pad(array.T, margins), whole, source, label=label)


def to_grid(
    array: np.ndarray,
    source: Grid,
    target: Grid,
    shift_mm: Shift = NO_SHIFT,
    *,
    label: bool = False,
) -> np.ndarray:
    """Voxels of one grid, moved by a shift, on another: the one rule by which all are resampled.

    They are permuted and mirrored where that is enough. Otherwise images are interpolated linearly,
    and integers rounded. Of labels, every voxel takes the one of the largest share, where classes
    are interpolated linearly: outlines drawn on coarse voxels come without their steps.

    A source's field of view ends at its outermost voxels' faces. Between these and their centres
    its edge is repeated; beyond is zero.

    Returns:
        [X, Y, Z]; a view of `array` where nothing is interpolated.
    """
    if shift_mm == NO_SHIFT:
        oriented, grid = _oriented(array, source, target)
        if grid.matches(target):
            return oriented
    interpolator = sitk.sitkLabelLinear if label else sitk.sitkLinear
    # SimpleITK would cut integers' decimals off.
    image = itk_image(array if label else array.astype(np.float64), source)
    moved = sitk.GetArrayFromImage(itk_resample(image, target, shift_mm, interpolator)).T
    if np.issubdtype(array.dtype, np.integer):
        moved = np.rint(moved)
    return np.ascontiguousarray(moved.astype(array.dtype.newbyteorder("=")))


def _oriented(array: np.ndarray, source: Grid, target: Grid) -> tuple[np.ndarray, Grid]:
    """Voxels permuted and mirrored so that their axes run as the target's, and their grid."""
    # From the two affines alone: near 45 degrees, a grid's axis codes are a matter of rounding.
    axes = io_orientation(np.linalg.inv(target.matrix) @ source.matrix)
    oriented = apply_orientation(array, axes)
    affine = source.matrix @ inv_ornt_aff(axes, source.shape)
    return oriented, make_grid(oriented.shape, affine)


def onto_first(volumes: Sequence[Volume]) -> tuple[np.ndarray, Grid]:
    """3D images, one per modality, on the first one's grid [X, Y, Z, C], zero outside of their
    own."""
    target = volumes[0].grid
    arrays = [to_grid(volume.array, volume.grid, target) for volume in volumes]
    return np.stack(arrays, axis=-1), target


def itk_image(array: np.ndarray, grid: Grid) -> sitk.Image:
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


def itk_resample(image: sitk.Image, target: Grid, shift_mm: Shift, interpolator: int) -> sitk.Image:
    return sitk.Resample(
        image,
        target.shape,
        translation(shift_mm),
        interpolator,
        tuple(target.matrix[:3, 3] * TO_LPS),
        target.spacing_mm,
        _direction(target),
    )


def translation(shift_mm: tuple[float, ...]) -> sitk.TranslationTransform:
    """ITK's transforms lead from where a voxel comes to rest to where it is taken from."""
    return sitk.TranslationTransform(3, tuple(-TO_LPS * shift_mm))
