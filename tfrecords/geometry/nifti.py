"""Reading volumes of any format, and writing NIfTI.

Arrays are [X, Y, Z], as in files.
"""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from tfrecords.errors import UserError
from tfrecords.files import file_checksum, write_file, writing
from tfrecords.geometry.data_files import files_of
from tfrecords.geometry.dicom import is_series
from tfrecords.geometry.grid import Grid, make_grid
from tfrecords.geometry.readers import Raw, read_dicom, read_itk, read_nifti
from tfrecords.geometry.streams import DAMAGES

NIFTI_ENDINGS = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Volume:
    """What an image file holds.

    Attributes:
        array: voxels [X, Y, Z] or [X, Y, Z, C] in the file's own type.
        sha256: of the file; where it keeps its voxels in others, of it and then of them; of a
            DICOM series, of its slices by their names.
        remarks: what is odd about the file, although it can be read.
    """

    array: np.ndarray
    grid: Grid
    sha256: str
    remarks: tuple[str, ...]


def read(path: Path) -> tuple[np.ndarray, Grid]:
    """Voxels and grid alone; see `read_volume`."""
    volume = read_volume(path)
    return volume.array, volume.grid


def read_volume(path: Path, sha256: str = "") -> Volume:
    """Reads a file or a folder of one DICOM series whole, and compares every checksum in it.

    Args:
        sha256: what it was when the file was checked; empty if it was not.

    Raises:
        UserError: missing, unreadable, damaged, changed, or not three-dimensional.
    """
    with _reading(path):
        found = _read(path)
    if sha256 and found.sha256 != sha256:
        raise UserError(
            f"{path}: the file has changed since it was checked: expected SHA-256 {sha256}, "
            f"received {found.sha256}. Run the same command again"
        )
    array, affine = found.array, found.affine
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or not array.size:
        raise UserError(f"{path}: expected a 3D or 4D image, received shape {array.shape}")
    if array.dtype.kind not in "iuf":
        raise UserError(f"{path}: expected integers or floats, received {array.dtype}")
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < 4:
        raise UserError(f"{path}: expected an affine that can be inverted, received {affine}")
    return Volume(array, make_grid(array.shape, affine), found.sha256, found.remarks)


def checksum(path: Path) -> str:
    """The SHA-256 that `Volume` holds of an image file, without its voxels.

    Raises:
        UserError: missing, or unreadable.
    """
    with _reading(path):
        return file_checksum(*files_of(path))


def _read(path: Path) -> Raw:
    if path.is_dir():
        return read_dicom(path)
    return read_nifti(path) if is_nifti(path) else read_itk(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raises UserError with the file's name, where it is missing or cannot be read."""
    if path.is_dir() and not is_series(path):
        raise UserError(
            f"{path}: expected an image file, received a folder without DICOM. Give the file in it"
        )
    if not path.exists():
        raise UserError(f"{path}: no such file")
    try:
        yield
    except DAMAGES as error:
        raise UserError(
            f"{path}: cannot be read (its data are damaged: {error}); fetch or write it anew"
        ) from error
    # The readers raise dozens of types on broken files; all mean the same to the user.
    except Exception as error:
        reason = (str(error).splitlines() or [repr(error)])[-1]
        raise UserError(f"{path}: cannot be read ({reason})") from error


def is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI_ENDINGS)


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
    _write_like(path, label.astype(np.uint8), like)


def write_maps(path: Path, maps: np.ndarray, like: Path | Grid) -> None:
    """Writes maps [X, Y, Z, K] (float32) as one 4D file; see `write_label`."""
    _write_like(path, maps.astype(np.float32, copy=False), like)


def _write_like(path: Path, array: np.ndarray, like: Path | Grid) -> None:
    if isinstance(like, Path) and is_nifti(like):
        source = nib.load(like)
        assert isinstance(source, nib.Nifti1Image)  # NIfTI-2 is one, too; it has been read.
        header = source.header.copy()
        header.set_data_dtype(array.dtype)
        header["cal_min"] = header["cal_max"] = 0  # The image's display window.
        image = nib.Nifti1Image(array, source.affine, header)
    else:
        image = _image(array, like if isinstance(like, Grid) else read(like)[1])
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
