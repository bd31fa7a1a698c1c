"""Image files to a label map on the first one's grid, by an exported model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from tfadv.inference.model import load, read_description
from tfrecords.errors import SettingError, UserError
from tfrecords.geometry.grid import Grid, working_grid
from tfrecords.geometry.nifti import Volume, is_nifti, write_label
from tfrecords.geometry.resample import onto_first, to_source, to_working
from tfrecords.records.intensities import storage_findings
from tfrecords.runners import parallel_map
from tfrecords.sources.images import grid_findings, image_findings, read_files, stack, stacked_names
from tfrecords.sources.subject import Subject

# A model that saw one spacing is told of images that differ by more than this share.
SPACING_TOLERANCE = 0.2


def predict(
    model_dir: Path, images: Sequence[Path], output: Path, *, resample: bool = False
) -> None:
    """Writes the label map of one subject, in the dataset's label values.

    Args:
        images: one file per modality in the model's order, or a single 4D file.
        resample: bring images of other grids onto the first one's, as --dataset prostate does.

    Raises:
        UserError: no such model, or a damaged one, images that preprocessing would refuse, or other
            modalities than the model's.
        SettingError: `output` is one of the images, or no NIfTI file.
    """
    description = read_description(model_dir)
    if not is_nifti(output):
        raise SettingError(
            "output", f"expected a name ending in .nii or .nii.gz, received {output}"
        )
    for image in images:
        if output.exists() and image.exists() and output.samefile(image):
            raise SettingError(
                "output", f"expected a file that is none of the images, received {output}: {image}"
            )
    subject, modalities = Subject("", tuple(images), None), len(description.modalities)
    array, source = _load(subject, modalities, resample=resample)
    spacing_mm = description.spacing_mm
    working = working_grid(
        source, description.orientation, description.wanted_spacing_mm, description.crop
    )
    ratio = np.array(working.spacing_mm) / spacing_mm
    if (np.abs(ratio - 1) > SPACING_TOLERANCE).any():
        logging.warning("the model was trained at %s mm; %s is %s", spacing_mm, images[0], source)
    volume = np.stack(
        [to_working(array[..., c], source, working, label=False) for c in range(array.shape[-1])],
        axis=-1,
    )
    # Whatever the type of its record set, a model takes float32.
    dtype = "float16" if description.image_dtype == "float16" else "float32"
    _tell(*storage_findings(volume, dtype, stacked_names(subject, modalities)))
    label = load(model_dir, description)(volume)
    write_label(output, to_source(label, working, source), images[0])


def _load(subject: Subject, modalities: int, *, resample: bool) -> tuple[np.ndarray, Grid]:
    """All modalities [X, Y, Z, C] on the first file's grid, with preprocessing's checks."""
    images = subject.images
    volumes, findings = _read(images)
    findings += image_findings(subject, volumes, modalities)
    onto = resample and len(images) == modalities
    if not onto:
        findings += grid_findings({path: volume.grid for path, volume in volumes.items()})
    _tell(findings, [(str(path), text) for path, v in volumes.items() for text in v.remarks])
    if onto:
        return onto_first([volumes[path] for path in images])
    return stack(subject, volumes, modalities), volumes[images[0]].grid


def _read(paths: Sequence[Path]) -> tuple[dict[Path, Volume], list[str]]:
    """As `read_files`; in a worker where ITK reads, which ends its process at some files."""
    if all(map(is_nifti, paths)):
        return read_files(paths)
    alone = [[path] for path in paths]
    read = dict(parallel_map(read_files, alone, 1, "Reading images", named=_named, lost=_unread))
    parts = [read[number] for number in range(len(paths))]
    volumes = {path: volume for found, _ in parts for path, volume in found.items()}
    return volumes, [finding for _, findings in parts for finding in findings]


def _named(paths: Sequence[Path]) -> str:
    return str(paths[0])


def _unread(paths: Sequence[Path], ended_by: str) -> tuple[dict[Path, Volume], list[str]]:
    reason = f"reading it ended the process by {ended_by}; fetch or write it anew"
    return {}, [f"{_named(paths)}: {reason}"]


def _tell(findings: Sequence[str], remarks: Sequence[tuple[str, str]]) -> None:
    if findings:
        raise UserError("; ".join(findings))
    for where, remark in remarks:
        logging.warning("%s: %s", where, remark)
