"""Every training subject of the challenge and one of its testing subjects."""

from collections.abc import Callable
from pathlib import Path

from tfrecords.sources.layouts.miccai2012 import TRAINING


def write(folder: Path, image: Callable[..., None], label: Callable[..., None]) -> Path:
    for number in (*TRAINING, "1003"):
        part = folder / ("training" if number in TRAINING else "testing")
        image(part / f"{number}_SS.nii.gz", int(number))
        label(part / f"{number}_glm.nii.gz", int(number), 0, 4, 44, 45, 142, 207, 35)
    return folder
