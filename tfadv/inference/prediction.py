"""One subject's image files to a label map on the first one's grid, by an exported model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from tfadv.inference.description import Description
from tfadv.inference.dicom import is_segmentation, write_segmentation
from tfadv.inference.prepared import Intake, Prepared, prepare
from tfadv.inference.segmented import Model
from tfadv.inference.trust import require_calibrated, words
from tfrecords.errors import SettingError
from tfrecords.geometry.grid import Grid
from tfrecords.geometry.nifti import Volume, is_nifti, write_label, write_maps
from tfrecords.geometry.resample import maps_to_source, to_source
from tfrecords.runners import parallel_map
from tfrecords.sources.images import read_files
from tfrecords.sources.subject import Subject


def predict(
    model: Model,
    images: Sequence[Path],
    output: Path,
    *,
    resample: bool = False,
    save_probabilities: bool = False,
    flag_below: float | None = None,
) -> str:
    """Writes the label map of one subject, in the dataset's label values.

    Returns what is to be expected of it, in words.

    Args:
        images: one file, or folder of one DICOM series, per modality in the model's order; or a
            single 4D file.
        output: a NIfTI file; or a DICOM segmentation, if the first image is a series.
        resample: bring images of other grids onto the first one's, as --dataset prostate does.
        save_probabilities: as well, to `OUTPUT_probabilities.nii.gz`.
        flag_below: a Dice; the words have a warning where less is to be expected.

    Raises:
        UserError: images that preprocessing would refuse, or other modalities than the model's.
        SettingError: `output` is one of the images or in it, or neither of the two.
    """
    description = model.description
    require_calibrated(description, flag_below)
    outputs = [output, probabilities_file(output)][: 1 + save_probabilities]
    _require_possible(outputs, images)
    subject = Subject("", tuple(images), None)
    prepared = prepare(intake_of(description, resample=resample), subject, _read)
    tell(prepared)
    found = model.open(save_probabilities)(prepared.volume)
    if save_probabilities:
        maps = on_source(found.probabilities, description, prepared)
        write_maps(outputs[1], maps, like(subject, prepared))
    label = to_source(found.label, prepared.working, prepared.source)
    if is_segmentation(output):
        write_segmentation(output, label, images[0], description, model.checksum)
    else:
        write_label(output, label, like(subject, prepared))
    return words(description, found.quality, flag_below)


def probabilities_file(label: Path) -> Path:
    """Where a label map's probabilities are: beside `a.nii` or `a.nii.gz`, `a_probabilities`."""
    stem = label.with_suffix("") if label.suffix.lower() == ".gz" else label
    return label.with_name(f"{stem.stem}_probabilities.nii.gz")


def intake_of(description: Description, *, resample: bool) -> Intake:
    """What a model of this description takes."""
    return Intake(
        len(description.modalities),
        description.orientation,
        description.spacing_mm,
        description.wanted_spacing_mm,
        description.crop,
        description.image_dtype,
        resample,
    )


def tell(prepared: Prepared) -> None:
    """Warns of what is odd about images."""
    for remark in prepared.remarks:
        logging.warning("%s", remark)


def on_source(maps: np.ndarray, description: Description, prepared: Prepared) -> np.ndarray:
    """Probabilities [Z, Y, X, K] of the model's volume as [X, Y, Z, K] on the first image."""
    outside = np.zeros(len(description.maps), np.float32)
    if description.exclusive:  # Of classes, the first is the background.
        outside[0] = 1
    return maps_to_source(maps, outside, prepared.working, prepared.source)


def like(subject: Subject, prepared: Prepared) -> Path | Grid:
    """What a label map takes its grid from; see `write_label`."""
    return subject.images[0] if is_nifti(subject.images[0]) else prepared.source


def ended(by: str) -> str:
    """What is wrong with files at which a reader died."""
    return f"reading it ended the process by {by}; fetch or write it anew"


def _require_possible(outputs: Sequence[Path], images: Sequence[Path]) -> None:
    """Raises SettingError as `predict`."""
    if is_segmentation(outputs[0]) and not images[0].is_dir():
        raise SettingError(
            "output",
            f"expected a folder of a DICOM series as the first image, to which {outputs[0]} can "
            f"refer, received {images[0]}",
        )
    if not is_segmentation(outputs[0]) and not is_nifti(outputs[0]):
        raise SettingError(
            "output",
            "expected a name ending in .nii or .nii.gz, or in .dcm for a DICOM segmentation, "
            f"received {outputs[0]}",
        )
    for image in filter(Path.exists, images):
        for output in outputs:
            places = [place for place in (output, *output.absolute().parents) if place.exists()]
            if any(place.samefile(image) for place in places):
                raise SettingError(
                    "output",
                    f"expected a file that is none of the images, received {output}: {image}",
                )


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
    return {}, [f"{_named(paths)}: {ended(ended_by)}"]
