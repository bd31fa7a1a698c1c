"""Image files to a label map on the first one's grid, by an exported model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from tfadv.inference.model import load, read_description
from tfrecords.errors import SettingError
from tfrecords.geometry.grid import working_grid
from tfrecords.geometry.nifti import is_nifti, write_label
from tfrecords.geometry.resample import read_onto_first, to_source, to_working
from tfrecords.sources.subject import Subject
from tfrecords.writing import scan

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
        UserError: no such model, or a damaged one, unreadable images, or other modalities than
            the model's.
    """
    description = read_description(model_dir)
    if not is_nifti(output):
        raise SettingError(
            "output", f"expected a name ending in .nii or .nii.gz, received {output}"
        )
    modalities = description.modalities
    if resample and len(images) == len(modalities):
        array, source = read_onto_first(images)
    else:
        subject = Subject(output.name, tuple(images), output)
        array, source = scan.load_image(subject, len(modalities))
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
    label = load(model_dir, description)(volume)
    write_label(output, to_source(label, working, source), images[0])
