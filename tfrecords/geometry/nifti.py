"""Reading volumes of any format, and writing NIfTI.

Arrays are [X, Y, Z], as in files.
"""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from tfrecords.errors import UserError
from tfrecords.files import write_file, writing
from tfrecords.geometry.grid import Grid, make_grid

NIFTI_ENDINGS = (".nii", ".nii.gz")


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


def read_image(path: Path) -> tuple[np.ndarray, Grid]:
    """Voxels [X, Y, Z] and their grid. Raises UserError where there is no 3D image."""
    array, grid = read(path)
    if array.ndim != 3:
        raise UserError(f"{path}: expected a 3D image, received shape {array.shape}")
    return array, grid


def write_label(path: Path, label: np.ndarray, like: Path | Grid) -> None:
    """Writes a label map [X, Y, Z] (uint8) atomically, lying exactly on `like`.

    Args:
        like: an image file whose grid, units and transform codes are taken over, or a grid.
    """
    label = label.astype(np.uint8)
    if isinstance(like, Path) and is_nifti(like):
        source = _load_nifti(like)
        header = source.header.copy()
        header.set_data_dtype(np.uint8)
        header["cal_min"] = header["cal_max"] = 0  # The image's display window.
        image = nib.Nifti1Image(label, source.affine, header)
    else:
        image = _image(label, like if isinstance(like, Grid) else read(like)[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as temporary:
        nib.save(image, temporary)


def write_image(path: Path, array: np.ndarray, grid: Grid) -> None:
    """Writes voxels [X, Y, Z] in their own type atomically, as .nii.gz.

    The same bytes for the same voxels: no time stamp in the gzip header.
    """
    content = _image(array, grid).to_bytes()
    write_file(path, gzip.compress(content, compresslevel=1, mtime=0))


def _image(array: np.ndarray, grid: Grid) -> nib.Nifti1Image:
    """With the header of all files that are ours."""
    image = nib.Nifti1Image(array, grid.matrix, dtype=array.dtype)
    image.set_qform(grid.matrix, code="scanner")
    image.set_sform(grid.matrix, code="scanner")
    image.header.set_xyzt_units("mm")
    return image
