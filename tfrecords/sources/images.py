"""The image files of one subject: reading them, and what is wrong with them.

Preprocessing and prediction look at them with the same eyes.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfrecords.errors import UserError
from tfrecords.geometry.grid import Grid
from tfrecords.geometry.nifti import Volume, read_volume
from tfrecords.sources.subject import Subject


def read_files(
    paths: Sequence[Path], checksums: Mapping[str, str] | None = None
) -> tuple[dict[Path, Volume], list[str]]:
    """The volumes that can be read, and why others cannot.

    Args:
        checksums: SHA-256 by path that the files had when they were checked, if they were.
    """
    found, findings = {}, []
    for path in paths:
        try:
            found[path] = read_volume(path, (checksums or {}).get(str(path), ""))
        except UserError as error:
            findings.append(str(error))
    return found, findings


def load_image(
    subject: Subject, modalities: int, checksums: Mapping[str, str] | None = None
) -> tuple[np.ndarray, Grid]:
    """All modalities [X, Y, Z, C] of a subject whose intensities have been looked at.

    Args:
        checksums: as in `read_files`.

    Raises:
        UserError: a file cannot be read or has changed, grids differ, or the modalities are not as
            many.
    """
    volumes, findings = read_files(subject.images, checksums)
    if not findings:
        findings = shape_findings(subject, volumes, modalities)
        findings += grid_findings({path: volume.grid for path, volume in volumes.items()})
    if findings:
        raise UserError("; ".join(findings))
    return stack(subject, volumes, modalities), volumes[subject.images[0]].grid


def stack(subject: Subject, volumes: Mapping[Path, Volume], modalities: int) -> np.ndarray:
    """The modalities [X, Y, Z, C] in their order."""
    arrays = [volumes[path].array for path in subject.images]
    # One modality after the other in memory, as in files: who takes them one by one reads fast.
    image = arrays[0] if arrays[0].ndim == 4 else np.stack([array.T for array in arrays]).T
    if subject.channels:
        image = image[..., [subject.channels.index(modality) for modality in range(modalities)]]
    return image


def stacked_names(subject: Subject, modalities: int) -> list[str]:
    """Where each of the modalities of `stack` comes from."""
    if len(subject.images) > 1 or modalities == 1:
        return list(map(str, subject.images))
    places = subject.channels or range(modalities)
    return [f"{subject.images[0]} channel {list(places).index(c)}" for c in range(modalities)]


def image_findings(subject: Subject, volumes: Mapping[Path, Volume], modalities: int) -> list[str]:
    """What is wrong with those of a subject's images that could be read."""
    findings = []
    if all(path in volumes for path in subject.images):
        findings += shape_findings(subject, volumes, modalities)
    for path in subject.images:
        if path in volumes:
            findings += _intensity_findings(path, volumes[path].array, subject.channels)
    return findings


def shape_findings(subject: Subject, volumes: Mapping[Path, Volume], modalities: int) -> list[str]:
    """One 3D image per modality, or a single 4D one."""
    shapes = [(path, volumes[path].array.shape) for path in subject.images]
    wrong = [
        f"{path}: expected one 3D image per modality, received shape {shape}"
        for path, shape in shapes
        if len(shapes) > 1 and len(shape) != 3
    ]
    if wrong:
        return wrong
    expected = len(subject.channels) or modalities
    channels = sum(shape[3] if len(shape) == 4 else 1 for _, shape in shapes)
    if channels != expected:
        where = ", ".join(str(path) for path, _ in shapes)
        return [f"{where}: expected {expected} modalities, received {channels}"]
    return []


def _intensity_findings(path: Path, image: np.ndarray, channels: tuple[int, ...]) -> Iterator[str]:
    """Of a 4D file, what is wrong with the channels that are not left out."""
    if image.ndim == 3:
        parts = {str(path): image}
    else:
        left_out = [number for number, place in enumerate(channels) if place < 0]
        kept = (number for number in range(image.shape[3]) if number not in left_out)
        parts = {f"{path} channel {number}": image[..., number] for number in kept}
    for where, part in parts.items():
        if odd := np.sum(~np.isfinite(part)):
            yield f"{where}: {odd} voxels are NaN or infinite"
        elif part.min() == part.max():
            yield f"{where}: the image is empty (all voxels are equal)"


def grid_findings(grids: Mapping[Path, Grid]) -> list[str]:
    """All files, the label map's among them, lie on the first one's grid."""
    first = next(iter(grids), None)
    return [
        f"{path}: grid ({grid}) differs from {first} ({grids[first]})"
        for path, grid in grids.items()
        if first and not grid.matches(grids[first])
    ]
