"""Grids of voxels in the world, and the grid that a source volume is brought to.

Files index voxels [X, Y, Z] and carry an affine to world coordinates (RAS+, mm).
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, from_matvec
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

from tfrecords.errors import SettingError

MOST_VOXELS = 2**31  # Along an axis.


@dataclass(frozen=True)
class Grid:
    """Voxels in world space: shape [X, Y, Z] and the 4x4 affine to RAS+ mm, row by row."""

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]

    @property
    def matrix(self) -> np.ndarray:
        return np.array(self.affine)

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Voxel size along each array axis."""
        return tuple(float(size) for size in nib.affines.voxel_sizes(self.matrix))

    @property
    def orientation(self) -> str:
        return "".join(nib.aff2axcodes(self.matrix))

    def matches(self, other: "Grid") -> bool:
        """Whether both describe the same voxels, to a thousandth of a voxel's size."""
        tolerance_mm = 1e-3 * min(self.spacing_mm)
        return self.shape == other.shape and np.allclose(
            self.matrix, other.matrix, rtol=0, atol=tolerance_mm
        )

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape))
        spacing = "x".join(f"{mm:.3g}" for mm in self.spacing_mm)
        origin = ", ".join(f"{mm:.4g}" for mm in self.matrix[:3, 3])
        return f"{size} voxels of {spacing} mm, {self.orientation}, origin ({origin})"


def make_grid(shape: tuple[int, ...], affine: np.ndarray) -> Grid:
    rows = tuple(tuple(float(value) for value in row) for row in affine)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), rows)


def working_grid(
    source: Grid,
    orientation: str,
    spacing_mm: tuple[float, ...] | None,
    crop: tuple[int, ...] | None = None,
) -> Grid:
    """The grid that a source volume is brought to: oriented, resampled and cropped, all centred.

    Args:
        spacing_mm: wanted voxel size along the oriented axes (x, y, z); 0 keeps the source's along
            this axis, and so its slices; None along all.
        crop: voxels to keep along these axes, of the resampled grid; None keeps all.

    Raises:
        SettingError: spacing makes more voxels than can be counted.
    """
    transform = ornt_transform(io_orientation(source.matrix), axcodes2ornt(orientation))
    shape = apply_orientation(np.empty(source.shape, np.uint8), transform).shape
    grid = make_grid(shape, source.matrix @ inv_ornt_aff(transform, source.shape))
    if spacing_mm is not None:
        wanted_mm = np.where(np.equal(spacing_mm, 0), grid.spacing_mm, spacing_mm)
        # Halves up: down, the centres of outermost voxels of half the size would lie on its faces.
        with np.errstate(over="ignore"):
            extents = np.array(shape) * grid.spacing_mm / wanted_mm
        if not (extents < MOST_VOXELS).all():
            raise SettingError(
                "spacing",
                f"expected fewer than {MOST_VOXELS} voxels along each axis, received "
                f"{', '.join(f'{extent:.3g}' for extent in extents)} of an image of {source}",
            )
        wanted = np.maximum(1, np.floor(extents + 0.5 + 1e-6)).astype(int)
        scale = wanted_mm / grid.spacing_mm
        step = np.diag([*scale, 1.0])
        step[:3, 3] = ((np.array(shape) - 1) - (wanted - 1) * scale) / 2
        grid = make_grid(tuple(wanted), grid.matrix @ step)
    if crop is not None:
        kept = np.minimum(grid.shape, crop)
        grid = box(grid, (np.array(grid.shape) - kept) // 2, kept)
    return grid


def box(grid: Grid, first: np.ndarray, shape: np.ndarray) -> Grid:
    """The grid of a box, whose first voxel may lie outside."""
    return make_grid(tuple(shape), grid.matrix @ from_matvec(np.eye(3), first))


def uncropped(working: Grid, source: Grid) -> tuple[Grid, np.ndarray]:
    """The working grid without its crop, and the voxels that this adds [3, 2] (before, after)."""
    to_voxels = np.linalg.inv(working.matrix) @ source.matrix
    centre = apply_affine(to_voxels, (np.array(source.shape) - 1) / 2)
    reach = np.abs(to_voxels[:3, :3]) @ source.shape / 2
    # Resampling alone moves a volume's faces by a quarter of a voxel at most, cropping by whole
    # voxels.
    before = -0.5 - (centre - reach)
    after = centre + reach - (np.array(working.shape) - 0.5)
    margins = np.maximum(0, np.rint(np.stack([before, after], axis=-1))).astype(int)
    return box(working, -margins[:, 0], working.shape + margins.sum(axis=1)), margins
