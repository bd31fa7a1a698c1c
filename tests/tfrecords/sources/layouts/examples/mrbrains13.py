"""The five training subjects of MRBrainS13."""

from collections.abc import Callable
from pathlib import Path


def write(folder: Path, image: Callable[..., None], label: Callable[..., None]) -> Path:
    for number in range(1, 6):
        place = folder / "TrainingData" / str(number)
        image(place / "T1.nii", number)
        label(place / "LabelsForTraining.nii", number, *range(9))
    return folder
