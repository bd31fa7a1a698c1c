"""DICOM series made by pydicom alone, for tests of what reads and writes DICOM."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

ROW = (0.0, 1.0, 0.0)  # Of increasing columns, in LPS.
COLUMN = (0.0, 0.0, -1.0)
FIRST_MM = (10.0, -20.0, 30.0)


def write_series(
    folder: Path,
    array: np.ndarray,
    *,
    row: Sequence[float] = ROW,
    column: Sequence[float] = COLUMN,
    spacing_mm: tuple[float, float, float] = (0.5, 0.75, 3.0),
    first_mm: Sequence[float] = FIRST_MM,
    series: str = "",
) -> list[Dataset]:
    """Writes int16 [columns, rows, slices] as slices whose names say nothing of their order.

    Args:
        row: the direction of increasing columns, LPS.
        spacing_mm: between columns, rows and slices, which follow each other along the normal.
        series: its UID.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = generate_uid(), series or generate_uid(), generate_uid()
    normal = np.cross(row, column)
    names = np.random.default_rng(0).permutation(array.shape[2])
    written = []
    for number in range(array.shape[2]):
        slice_ = _slice(array[:, :, number].T, study, series, frame)
        slice_.ImageOrientationPatient = [*row, *column]
        slice_.ImagePositionPatient = list(np.add(first_mm, number * spacing_mm[2] * normal))
        slice_.PixelSpacing = [spacing_mm[1], spacing_mm[0]]
        slice_.SliceThickness = spacing_mm[2]
        slice_.InstanceNumber = number + 1
        slice_.filename = folder / f"{names[number]:03d}"
        save(slice_)
        written.append(slice_)
    return written


def save(slice_: Dataset, **changes: Any) -> None:
    """Writes a slice to its file, with attributes changed."""
    for name, value in changes.items():
        if value is None:
            delattr(slice_, name)
        else:
            setattr(slice_, name, value)
    slice_.save_as(slice_.filename, enforce_file_format=True)


def _slice(pixels: np.ndarray, study: str, series: str, frame: str) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = MRImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "A^B", "p1", "", ""
    made.StudyID, made.StudyDate, made.StudyTime, made.AccessionNumber = "1", "", "", ""
    made.ReferringPhysicianName = made.PositionReferenceIndicator = ""
    made.Modality, made.SeriesNumber = "MR", 4
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 1
    made.PixelData = np.ascontiguousarray(pixels, "<i2").tobytes()
    return made
