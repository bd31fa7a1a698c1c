"""Reading volumes of any orientation into one, and writing label maps back onto the source's grid.

Files index voxels [X, Y, Z] and carry an affine to world coordinates (RAS+, mm). In memory a volume
is oriented (RAS+ unless told otherwise), maybe resampled, and held as [Z, Y, X, C].
"""

import os
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.affines import apply_affine, from_matvec
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from nibabel.processing import resample_from_to

from tfrecords.errors import UserError

NIFTI_ENDINGS = (".nii", ".nii.gz")
# Floating images are scaled to at most this magnitude and stored as float16 (maximum 65504).
HALF_LIMIT = 32768.0


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


def read(path: Path) -> tuple[np.ndarray, Grid]:
    """Voxels [X, Y, Z] or [X, Y, Z, C] in the file's own type, and their grid.

    Raises:
        UserError: missing, unreadable, or not three-dimensional.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        array, affine = _read_nifti(path) if is_nifti(path) else _read_itk(path)
    # The readers raise dozens of types on broken files; all mean the same to the user.
    except Exception as error:
        reason = (str(error).splitlines() or [repr(error)])[-1]
        raise UserError(f"{path}: cannot be read ({reason})") from error
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or not array.size:
        raise UserError(f"{path}: expected a 3D or 4D image, received shape {array.shape}")
    if array.dtype.kind not in "iuf":
        raise UserError(f"{path}: expected integers or floats, received {array.dtype}")
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < 4:
        raise UserError(f"{path}: expected an affine that can be inverted, received {affine}")
    return array, make_grid(array.shape, affine)


def is_nifti(path: Path) -> bool:
    return path.name.endswith(NIFTI_ENDINGS)


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = _load_nifti(path)
    return np.asanyarray(image.dataobj), image.affine


def _load_nifti(path: Path) -> nib.Nifti1Image:
    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Image):  # NIfTI-2 is one, too.
        raise UserError(f"expected NIfTI, received {type(image).__name__}")
    return image


def _read_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = sitk.ReadImage(str(path))
    if image.GetDimension() != 3:
        raise UserError(f"expected three dimensions, received {image.GetDimension()}")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1  # ITK's world is LPS, ours RAS.
    array = sitk.GetArrayFromImage(image)
    return np.moveaxis(array, (0, 1, 2), (2, 1, 0)), affine


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
    """
    transform = ornt_transform(io_orientation(source.matrix), axcodes2ornt(orientation))
    shape = apply_orientation(np.empty(source.shape, np.uint8), transform).shape
    grid = make_grid(shape, source.matrix @ inv_ornt_aff(transform, source.shape))
    if spacing_mm is not None:
        wanted_mm = np.where(np.equal(spacing_mm, 0), grid.spacing_mm, spacing_mm)
        wanted = np.maximum(1, np.round(np.array(shape) * grid.spacing_mm / wanted_mm)).astype(int)
        scale = wanted_mm / grid.spacing_mm
        step = np.diag([*scale, 1.0])
        step[:3, 3] = ((np.array(shape) - 1) - (wanted - 1) * scale) / 2
        grid = make_grid(tuple(wanted), grid.matrix @ step)
    if crop is not None:
        kept = np.minimum(grid.shape, crop)
        grid = _box(grid, (np.array(grid.shape) - kept) // 2, kept)
    return grid


def _box(grid: Grid, first: np.ndarray, shape: np.ndarray) -> Grid:
    """The grid of a box, whose first voxel may lie outside."""
    return make_grid(tuple(shape), grid.matrix @ from_matvec(np.eye(3), first))


def to_working(array: np.ndarray, source: Grid, working: Grid, *, label: bool) -> np.ndarray:
    """Source voxels [X, Y, Z] on the working grid, as [Z, Y, X]; labels by nearest neighbour."""
    whole, margins = _uncropped(working, source)
    there = _transfer(array, source, whole, order=0 if label else 1)
    box = tuple(
        slice(before, extent - after)
        for (before, after), extent in zip(margins, there.shape, strict=True)
    )
    return np.ascontiguousarray(there[box].T)


def to_source(label: np.ndarray, working: Grid, source: Grid) -> np.ndarray:
    """A label map [Z, Y, X] on the working grid, voxel for voxel on the source's grid [X, Y, Z].

    Background where the working grid was cropped.
    """
    whole, margins = _uncropped(working, source)
    return np.ascontiguousarray(_transfer(np.pad(label.T, margins), whole, source, order=0))


def _uncropped(working: Grid, source: Grid) -> tuple[Grid, np.ndarray]:
    """The working grid without its crop, and the voxels that this adds [3, 2] (before, after)."""
    to_voxels = np.linalg.inv(working.matrix) @ source.matrix
    centre = apply_affine(to_voxels, (np.array(source.shape) - 1) / 2)
    reach = np.abs(to_voxels[:3, :3]) @ source.shape / 2
    # Resampling alone moves a volume's faces by a quarter of a voxel at most, cropping by whole
    # voxels.
    before = -0.5 - (centre - reach)
    after = centre + reach - (np.array(working.shape) - 0.5)
    margins = np.maximum(0, np.rint(np.stack([before, after], axis=-1))).astype(int)
    return _box(working, -margins[:, 0], working.shape + margins.sum(axis=1)), margins


def _transfer(array: np.ndarray, source: Grid, target: Grid, order: int) -> np.ndarray:
    """Voxels of one grid on another: permuted and mirrored where that is enough, else resampled."""
    # From the two affines alone: near 45 degrees, a grid's axis codes are a matter of rounding.
    axes = io_orientation(np.linalg.inv(target.matrix) @ source.matrix)
    oriented = apply_orientation(array, axes)
    affine = source.matrix @ inv_ornt_aff(axes, source.shape)
    if make_grid(oriented.shape, affine).matches(target):
        return oriented
    return _resample(array, source, target, order)


def _resample(array: np.ndarray, source: Grid, target: Grid, order: int) -> np.ndarray:
    image = nib.Nifti1Image(array.astype(np.float32), source.matrix)
    resampled = resample_from_to(image, (target.shape, target.matrix), order=order, mode="nearest")
    values = np.asarray(resampled.dataobj)
    if np.issubdtype(array.dtype, np.integer):
        values = np.rint(values)
    return values.astype(array.dtype)


def halve(image: np.ndarray) -> np.ndarray:
    """A floating image as float16, divided by a power of two against over- and underflow.

    Its largest magnitude lies in (HALF_LIMIT / 2, HALF_LIMIT]. Normalisation does not see the
    factor. `normalisation.as_stored` does the same when serving.
    """
    largest = np.max(np.abs(image.astype(np.float32)), initial=0.0)
    factor = 1.0
    while largest > factor * HALF_LIMIT:
        factor *= 2.0
    while 0 < largest <= factor * HALF_LIMIT / 2:
        factor /= 2.0
    return (image.astype(np.float32) / np.float32(factor)).astype(np.float16)


def write_label(path: Path, label: np.ndarray, like: Path | Grid) -> None:
    """Writes a label map [X, Y, Z] (uint8) atomically, lying exactly on `like`.

    Args:
        like: an image file whose grid, units and transform codes are taken over, or a grid.
    """
    header = None
    if isinstance(like, Path) and is_nifti(like):
        source = _load_nifti(like)
        affine, header = source.affine, source.header.copy()
        header.set_data_dtype(np.uint8)
        header["cal_min"] = header["cal_max"] = 0  # The image's display window.
    else:
        affine = (like if isinstance(like, Grid) else read(like)[1]).matrix
    image = nib.Nifti1Image(label.astype(np.uint8), affine, header)
    if header is None:
        image.set_qform(affine, code="scanner")
        image.set_sform(affine, code="scanner")
        image.header.set_xyzt_units("mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    nib.save(image, temporary)
    os.replace(temporary, path)
