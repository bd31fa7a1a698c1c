"""Reading the voxels, affine and checksum of NIfTI files, of DICOM series, and of what ITK reads.

All read to the end of the file, so that every checksum in it is compared, and look at its size
before they make room for the voxels that its header declares.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import BinaryIO

import numpy as np
import SimpleITK as sitk
from nibabel import Nifti1Header, Nifti2Header
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling

from tfrecords.errors import UserError
from tfrecords.files import file_checksum
from tfrecords.geometry import data_files, dicom
from tfrecords.geometry.streams import (
    drained,
    excess,
    hashed,
    is_gzip,
    require_memory,
    require_possible,
)
from tfrecords.names import shortened

SCALED_BYTES = 8  # Of a voxel with a slope or an intercept: float64.
NO_OFFSET = "its header has vox_offset 0; its voxels are taken to follow the header"
NO_FORMS = (
    "its header has neither a qform nor an sform: where its voxels lie, and which side is left, "
    "is a guess"
)
OTHER_FORMS = (
    "its qform and its sform put voxels in places more than half a voxel apart; the sform counts"
)


@dataclass(frozen=True)
class Raw:
    """What a reader finds, whatever its shape: see `nifti.Volume`."""

    array: np.ndarray
    affine: np.ndarray
    sha256: str
    remarks: tuple[str, ...]


def read_nifti(path: Path) -> Raw:
    """Reads a NIfTI-1 or NIfTI-2 file once, from its first byte to its last."""
    with hashed(path) as (file, stream):
        header, length = _nifti_header(stream)
        shape = tuple(map(int, header.get_data_shape()))
        dtype = header.get_data_dtype()
        size = math.prod(shape) * dtype.itemsize
        slope, intercept = _scaling(header)
        scaled = (slope, intercept) != (1, 0)
        first = max(header.get_data_offset(), header.single_vox_offset)
        require_possible(first + size, path.stat().st_size, compressed=is_gzip(path))
        require_memory(size + (math.prod(shape) * SCALED_BYTES if scaled else 0))
        stream.read(first - length)
        data = stream.read(size)
        if len(data) < size:
            raise EOFError(f"expected {size} bytes of voxels, received {len(data)}")
        remarks = excess(drained(stream), math.prod(shape[:2]) * dtype.itemsize)
    array = apply_read_scaling(np.ndarray(shape, dtype, data, order="F"), slope, intercept)
    return Raw(array, header.get_best_affine(), file.sha256(), (*_remarks(header, shape), *remarks))


def _nifti_header(stream: BinaryIO) -> tuple[Nifti1Header, int]:
    """The header, and the bytes that were read of it."""
    head = stream.read(Nifti1Header.sizeof_hdr)
    if Nifti1Header.may_contain_header(head):
        return Nifti1Header(head), len(head)
    head += stream.read(Nifti2Header.sizeof_hdr - len(head))
    if Nifti2Header.may_contain_header(head):
        return Nifti2Header(head), len(head)
    raise UserError("expected NIfTI, received something else")


def _scaling(header: Nifti1Header) -> tuple[np.float64, np.float64]:
    slope, intercept = header.get_slope_inter()
    return np.float64(1 if slope is None else slope), np.float64(intercept or 0)


def _remarks(header: Nifti1Header, shape: tuple[int, ...]) -> Iterator[str]:
    """What a header leaves open or says twice."""
    if header.get_data_offset() == 0:
        yield NO_OFFSET
    codes = int(header["qform_code"]), int(header["sform_code"])
    if codes == (0, 0):
        yield NO_FORMS
    elif all(codes) and not _agree(header, shape):
        yield OTHER_FORMS


def _agree(header: Nifti1Header, shape: tuple[int, ...]) -> bool:
    """Whether both forms put the volume's corners in the same voxels."""
    try:
        forms = header.get_qform(), header.get_sform()
    except (HeaderDataError, ValueError):  # Quaternions that mean no rotation.
        return False
    corners = list(product(*((0, extent - 1) for extent in (*shape, 1, 1, 1)[:3])))
    first, second = (apply_affine(form, corners) for form in forms)
    apart = np.linalg.norm(first - second, axis=1).max()
    return bool(apart <= voxel_sizes(forms[1]).min() / 2)


def read_itk(path: Path) -> Raw:
    """Reads what SimpleITK can: MetaImage, NRRD and others.

    Of the first two, their compressed data are checked before. ITK reads them again.
    """
    data = data_files.find(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    if reader.GetDimension() != 3:
        raise UserError(f"expected three dimensions, received {reader.GetDimension()}")
    shape = reader.GetSize()
    one = sitk.Image([1, 1, 1], reader.GetPixelID(), reader.GetNumberOfComponents())
    voxel = sitk.GetArrayViewFromImage(one).nbytes
    size = math.prod(shape) * voxel
    require_memory(size * 2)  # ITK's, and NumPy's.
    remarks = _check(path, data, size, shape[0] * shape[1] * voxel)
    checksum = file_checksum(*data_files.files_of(path))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1  # ITK's world is LPS, ours RAS.
    return Raw(_array(image), affine, checksum, remarks)


def read_dicom(folder: Path) -> Raw:
    """Reads a folder of one DICOM series; intensities are rescaled as its headers say."""
    series = dicom.read_series(folder)
    require_memory(math.prod(series.shape) * SCALED_BYTES * 2)  # ITK's, and NumPy's.
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames(list(map(str, series.files)))
    array = _array(reader.Execute())
    checksum = file_checksum(*dicom.slices(folder))
    remarks = []
    if series.others:
        names = shortened([path.name for path in series.others])
        remarks.append(f"left out, as they are no DICOM: {names}")
    return Raw(array, series.affine, checksum, tuple(remarks))


def _array(image: sitk.Image) -> np.ndarray:
    """[X, Y, Z] or [X, Y, Z, C]."""
    return np.moveaxis(sitk.GetArrayFromImage(image), (0, 1, 2), (2, 1, 0))


def _check(path: Path, data: data_files.Data | None, size: int, plane: int) -> tuple[str, ...]:
    """Decompresses the voxels once to the end. Gives remarks; raises what is damaged."""
    if data:
        held = data.size(size)
        if held < size:
            raise EOFError(f"expected {size} bytes of voxels, received {held}")
        return excess(held - size, plane)
    if is_gzip(path):
        with hashed(path) as (_, stream):
            drained(stream)
    return ()
