"""Looking at every subject before anything is written, and reporting all that is wrong at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfrecords.errors import UserError
from tfrecords.files import file_checksum
from tfrecords.geometry.grid import Grid
from tfrecords.geometry.nifti import read
from tfrecords.sources.subject import Dataset, Subject


@dataclass(frozen=True)
class Scan:
    """What one subject's files hold.

    Attributes:
        findings: one sentence per fault; empty for a good subject.
        dtype: the type that holds all its modalities.
        label_counts: voxels per source label value; empty where there is no label map.
        checksums: SHA-256 per file.
    """

    subject: str
    findings: tuple[str, ...]
    grid: Grid | None = None
    dtype: str = ""
    label_counts: dict[int, int] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)


def load_image(subject: Subject, modalities: int) -> tuple[np.ndarray, Grid]:
    """All modalities [X, Y, Z, C] of a subject, and their grid.

    Raises:
        UserError: a file cannot be read, grids differ, or the modalities are not as many.
    """
    arrays, grids = zip(*map(read, subject.images), strict=True)
    shapes = [(path, a.shape) for path, a in zip(subject.images, arrays, strict=True)]
    findings = _shape_findings(shapes, len(subject.channels) or modalities)
    findings += _grid_findings(dict(zip(subject.images, grids, strict=True)))
    if findings:
        raise UserError("; ".join(findings))
    image = arrays[0] if arrays[0].ndim == 4 else np.stack(arrays, axis=-1)
    if subject.channels:
        image = image[..., [subject.channels.index(modality) for modality in range(modalities)]]
    return image, grids[0]


def scan(subject: Subject, dataset: Dataset) -> Scan:
    """Reads a subject whole and says what it holds and what is wrong with it."""
    findings: list[str] = []
    volumes_read = {path: _read(path, findings) for path in subject.files}
    found = {path: volume for path, volume in volumes_read.items() if volume}
    images = {path: found[path][0] for path in subject.images if path in found}
    if all(path in found for path in subject.images):
        shapes = [(path, images[path].shape) for path in subject.images]
        findings += _shape_findings(shapes, len(subject.channels) or len(dataset.modalities))
    for path, image in images.items():
        findings += _image_findings(path, image, subject.channels)
    if subject.label in found:
        findings += _label_findings(subject.label, found[subject.label][0], dataset)
    findings += _grid_findings({path: grid for path, (_, grid) in found.items()})
    if findings:
        return Scan(subject.name, tuple(findings))
    label = np.empty(0) if subject.label is None else found[subject.label][0]
    values, voxels = np.unique(label, return_counts=True)
    return Scan(
        subject.name,
        (),
        found[subject.files[-1]][1],
        _storage_dtype(np.result_type(*images.values())),
        {int(v): int(n) for v, n in zip(values, voxels, strict=True)},
        {str(path): file_checksum(path) for path in subject.files},
    )


def _read(path: Path, findings: list[str]) -> tuple[np.ndarray, Grid] | None:
    """The volume and its grid, or None with the reason among the findings."""
    try:
        return read(path)
    except UserError as error:
        findings.append(str(error))
        return None


def _storage_dtype(dtype: np.dtype) -> str:
    """The source's integer type; float16 where it is floating (or too wide for an integer)."""
    if np.issubdtype(dtype, np.integer) and dtype.itemsize <= 4 and dtype != np.uint32:
        return dtype.newbyteorder("=").name
    return "float16"


def _shape_findings(shapes: Sequence[tuple[Path, tuple[int, ...]]], modalities: int) -> list[str]:
    """One 3D image per modality, or a single 4D one."""
    wrong = [
        f"{path}: expected one 3D image per modality, received shape {shape}"
        for path, shape in shapes
        if len(shapes) > 1 and len(shape) != 3
    ]
    if wrong:
        return wrong
    channels = sum(shape[3] if len(shape) == 4 else 1 for _, shape in shapes)
    if channels != modalities:
        where = ", ".join(str(path) for path, _ in shapes)
        return [f"{where}: expected {modalities} modalities, received {channels}"]
    return []


def _image_findings(path: Path, image: np.ndarray, channels: tuple[int, ...]) -> list[str]:
    """Of a 4D file, what is wrong with the channels that are not left out."""
    if image.ndim == 3:
        parts = {str(path): image}
    else:
        left_out = [number for number, place in enumerate(channels) if place < 0]
        kept = (number for number in range(image.shape[3]) if number not in left_out)
        parts = {f"{path} channel {number}": image[..., number] for number in kept}
    findings = []
    for where, part in parts.items():
        if odd := np.sum(~np.isfinite(part)):
            findings.append(f"{where}: {odd} voxels are NaN or infinite")
        elif part.min() == part.max():
            findings.append(f"{where}: the image is empty (all voxels are equal)")
    return findings


def _grid_findings(grids: Mapping[Path, Grid]) -> list[str]:
    """All files, the label map's among them, lie on the first one's grid."""
    first = next(iter(grids), None)
    return [
        f"{path}: grid ({grid}) differs from {first} ({grids[first]})"
        for path, grid in grids.items()
        if first and not grid.matches(grids[first])
    ]


def _label_findings(path: Path, label: np.ndarray, dataset: Dataset) -> list[str]:
    if label.ndim != 3:
        return [f"{path}: expected a 3D label map, received shape {label.shape}"]
    values = np.unique(label)
    if not np.isfinite(values).all() or (values != np.rint(values)).any():
        odd = [float(v) for v in values if not np.isfinite(v) or v != np.rint(v)][:5]
        return [f"{path}: labels are not whole numbers (for example {odd})"]
    classes = dataset.classes
    known = {v for c in classes for v in c.labels} if classes else set(range(256))
    known |= set(dataset.ignored)
    unknown = sorted({int(v) for v in values} - known)
    if unknown:
        expected = sorted(known) if classes else "0 to 255"
        return [f"{path}: unknown labels {unknown[:10]}, expected {expected}"]
    if set(values.tolist()) <= set(dataset.ignored):
        return [
            f"{path}: every voxel is ignored (label {int(values[0])}), expected some that are "
            "annotated"
        ]
    return []
