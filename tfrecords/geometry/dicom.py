"""A folder of one DICOM series: its slices in their order, and the grid on which they lie.

pydicom reads the headers, and ITK the voxels, whatever their compression.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfrecords.errors import UserError
from tfrecords.names import shortened

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE, MAGIC = 128, b"DICM"
# Of direction cosines; headers hold them with six digits or so.
ORIENTATION_TOLERANCE = 1e-3
# Of the distance between slices, by which one may lie beside its place.
PLACE_TOLERANCE = 0.1
SAME_PLACE_MM = 1e-3
NEEDED = (
    "SeriesInstanceUID",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "BitsAllocated",
)
TAGS = [*NEEDED, "NumberOfFrames", "SamplesPerPixel", "SliceThickness"]


@dataclass(frozen=True)
class Series:
    """The slices of a volume.

    Attributes:
        files: a slice each, in the order of the third axis.
        affine: 4x4, of (column, row, slice) to RAS+ mm.
        shape: columns, rows, slices.
        voxel: bytes of one, as it is stored.
        others: files in the folder that are no DICOM.
    """

    files: tuple[Path, ...]
    affine: np.ndarray
    shape: tuple[int, int, int]
    voxel: int
    others: tuple[Path, ...]


def is_series(folder: Path) -> bool:
    """Whether there is any DICOM file in it."""
    return any(map(_is_dicom, sorted(folder.iterdir())))


def slices(folder: Path) -> tuple[Path, ...]:
    """The DICOM files in a folder, by their names."""
    return tuple(filter(_is_dicom, sorted(folder.iterdir())))


def read_series(folder: Path) -> Series:
    """Reads the headers of a folder that holds DICOM.

    Raises:
        UserError: without the folder's name: several series, or slices that are no volume.
    """
    headers = {path: _header(path) for path in slices(folder)}
    _require_one(headers)
    first = next(iter(headers.values()))
    x, y = np.reshape(first.ImageOrientationPatient, (2, 3)).astype(float)
    normal = np.cross(x, y)
    places = {path: _place(header) for path, header in headers.items()}
    ordered = sorted(headers, key=lambda path: (places[path] @ normal, path))
    _require_distances(ordered, [float(places[path] @ normal) for path in ordered])
    step = _step([places[path] for path in ordered], normal, first)
    to_y, to_x = map(float, first.PixelSpacing)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([x * to_x, y * to_y, normal * step], axis=1)
    affine[:3, 3] = places[ordered[0]]
    affine[:2] *= -1  # DICOM's world is LPS, ours RAS.
    shape = int(first.Columns), int(first.Rows), len(ordered)
    others = tuple(path for path in sorted(folder.iterdir()) if path not in headers)
    return Series(tuple(ordered), affine, shape, int(first.BitsAllocated) // 8, others)


def _is_dicom(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC


def _header(path: Path) -> "Dataset":
    """Of what TAGS name, without the voxels, of which ITK does not see that some are missing."""
    # Imported where it is used: most volumes are no DICOM.
    from pydicom import dcmread  # noqa: PLC0415

    header = dcmread(path, specific_tags=[*TAGS, "PixelData"])
    if missing := [name for name in (*NEEDED, "PixelData") if header.get(name) is None]:
        raise UserError(f"{path.name}: expected a slice with {missing[0]}, received none")
    expected = header.Rows * header.Columns * header.BitsAllocated // 8
    received = len(header.PixelData)
    del header.PixelData
    if received < expected and not header.file_meta.TransferSyntaxUID.is_compressed:
        raise UserError(
            f"{path.name}: expected {expected} bytes of voxels, received {received}; fetch it anew"
        )
    return header


def _place(header: "Dataset") -> np.ndarray:
    """Of the first voxel's centre, in DICOM's world."""
    return np.array(header.ImagePositionPatient, float)


def _require_one(headers: dict[Path, "Dataset"]) -> None:
    """All are slices of one series and one orientation."""
    uids = sorted({str(header.get("SeriesInstanceUID")) for header in headers.values()})
    if len(uids) > 1:
        raise UserError(
            f"expected one DICOM series, received {len(uids)}: {shortened(uids)}; put each into a "
            "folder of its own"
        )
    for path, header in headers.items():
        if int(header.get("NumberOfFrames") or 1) > 1 or header.get("SamplesPerPixel", 1) != 1:
            raise UserError(
                f"{path.name}: expected one slice of one channel in each file, received several; "
                "write the series as NIfTI, for example by dcm2niix"
            )
    first_path, first = next(iter(headers.items()))
    for path, header in headers.items():
        for name, tolerance in (
            ("ImageOrientationPatient", ORIENTATION_TOLERANCE),
            ("PixelSpacing", ORIENTATION_TOLERANCE),
            ("Rows", 0),
            ("Columns", 0),
        ):
            if not np.allclose(header[name].value, first[name].value, rtol=0, atol=tolerance):
                raise UserError(
                    f"expected slices of one {name}, received {first[name].value} in "
                    f"{first_path.name} and {header[name].value} in {path.name}; put each volume "
                    "into a folder of its own"
                )


def _require_distances(files: Sequence[Path], heights_mm: Sequence[float]) -> None:
    """Slices lie at equal distances, each in a place of its own."""
    gaps = np.diff(heights_mm)
    if not len(gaps):
        return
    usual = float(np.median(gaps))
    for (before, after), gap in zip(pairwise(files), gaps, strict=True):
        if gap < SAME_PLACE_MM:
            raise UserError(
                f"expected a place of its own for each slice, received {before.name} and "
                f"{after.name} in one, as of a series of times or b-values; put each volume into a "
                "folder of its own"
            )
        if abs(gap - usual) > PLACE_TOLERANCE * usual:
            raise UserError(
                f"expected slices at equal distances, received {gap:.4g} mm between {before.name} "
                f"and {after.name} and {usual:.4g} mm elsewhere; is a slice missing?"
            )


def _step(places: Sequence[np.ndarray], normal: np.ndarray, first: "Dataset") -> float:
    """Millimetres from slice to slice along the normal.

    Raises:
        UserError: slices are shifted within their plane against each other.
    """
    if len(places) == 1:
        if not first.get("SliceThickness"):
            raise UserError("expected a SliceThickness of the only slice, received none")
        return float(first.SliceThickness)
    step = float((places[-1] - places[0]) @ normal) / (len(places) - 1)
    expected = places[0] + np.outer(np.arange(len(places)) * step, normal)
    off_mm = float(np.linalg.norm(places - expected, axis=1).max())
    if off_mm > PLACE_TOLERANCE * step:
        raise UserError(
            f"expected slices above each other, received some that are shifted by {off_mm:.3g} mm, "
            "as by a tilted gantry; write the series as NIfTI, for example by dcm2niix"
        )
    return step
