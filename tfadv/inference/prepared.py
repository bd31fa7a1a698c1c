"""A subject's image files as the volume that a model takes. Without TensorFlow, for workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfrecords.errors import UserError
from tfrecords.geometry.grid import Grid, working_grid
from tfrecords.geometry.nifti import Volume
from tfrecords.geometry.resample import onto_first, to_working
from tfrecords.records.intensities import storage_findings
from tfrecords.sources.images import grid_findings, image_findings, read_files, stack, stacked_names
from tfrecords.sources.subject import Subject

# A model that saw one spacing is told of images that differ by more than this share.
SPACING_TOLERANCE = 0.2
Read = Callable[[Sequence[Path]], tuple[dict[Path, Volume], list[str]]]


@dataclass(frozen=True)
class Intake:
    """What a model takes; see `Description`.

    Attributes:
        modalities: how many.
        image_dtype: as which intensities must be whole; whatever it is, a model takes float32.
        resample: whether images of other grids are brought onto the first one's.
    """

    modalities: int
    orientation: str
    spacing_mm: tuple[float, float, float]
    wanted_spacing_mm: tuple[float, float, float] | None
    crop: tuple[int, int, int] | None
    image_dtype: str
    resample: bool


@dataclass(frozen=True)
class Prepared:
    """A subject's images as a model takes them.

    Attributes:
        volume: float32 [Z, Y, X, C] on the working grid.
        source: the first image's grid.
        checksums: SHA-256 of each image; see `Volume`.
        remarks: what is odd about them.
    """

    volume: np.ndarray
    source: Grid
    working: Grid
    checksums: tuple[str, ...]
    remarks: tuple[str, ...]


def prepare(intake: Intake, subject: Subject, read: Read = read_files) -> Prepared:
    """Reads the images, checks them as preprocessing does, and brings them to the working grid.

    Raises:
        UserError: preprocessing would refuse them, or they are of other modalities.
    """
    volumes, findings = read(subject.images)
    findings += image_findings(subject, volumes, intake.modalities)
    onto = intake.resample and len(subject.images) == intake.modalities
    if not onto:
        findings += grid_findings({path: volume.grid for path, volume in volumes.items()})
    _require_none(findings)
    image, source = _image(subject, volumes, intake.modalities, onto=onto)
    working = working_grid(source, intake.orientation, intake.wanted_spacing_mm, intake.crop)
    volume = np.stack(
        [to_working(image[..., c], source, working, label=False) for c in range(image.shape[-1])],
        axis=-1,
    )
    dtype = "float16" if intake.image_dtype == "float16" else "float32"
    findings, odd = storage_findings(volume, dtype, stacked_names(subject, intake.modalities))
    _require_none(findings)
    remarks = [f"{path}: {text}" for path in subject.images for text in volumes[path].remarks]
    remarks += _of_spacing(intake, working, source, subject.images[0])
    remarks += [f"{name}: {text}" for name, text in odd]
    checksums = tuple(volumes[path].sha256 for path in subject.images)
    return Prepared(volume.astype(np.float32), source, working, checksums, tuple(remarks))


def prepared_or_fault(intake: Intake, subject: Subject) -> Prepared | str:
    """As `prepare`; or what is wrong with the subject, in a line, so that others can go on."""
    try:
        return prepare(intake, subject)
    except UserError as error:
        return str(error)
    except MemoryError as error:
        return f"not enough memory ({error})"


def _image(
    subject: Subject, volumes: dict[Path, Volume], modalities: int, *, onto: bool
) -> tuple[np.ndarray, Grid]:
    """All modalities [X, Y, Z, C] on the first file's grid."""
    if onto:
        return onto_first([volumes[path] for path in subject.images])
    return stack(subject, volumes, modalities), volumes[subject.images[0]].grid


def _of_spacing(intake: Intake, working: Grid, source: Grid, path: Path) -> list[str]:
    ratio = np.array(working.spacing_mm) / intake.spacing_mm
    if (np.abs(ratio - 1) <= SPACING_TOLERANCE).all():
        return []
    return [f"the model was trained at {intake.spacing_mm} mm; {path} is {source}"]


def _require_none(findings: Sequence[str]) -> None:
    if findings:
        raise UserError("; ".join(findings))
