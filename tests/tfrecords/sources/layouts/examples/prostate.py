"""Three patients in the layout of ProstateX, one of them with a lesion."""

from collections.abc import Callable
from pathlib import Path


def write(folder: Path, image: Callable[..., None], label: Callable[..., None]) -> Path:
    for number, grade in enumerate((0, 0, 3)):
        start = f"{folder / f'p{number}' / f'p{number}'}_"
        for channel, kind in enumerate(("t2", "adc", "hbv")):
            image(Path(f"{start}{kind}.nii.gz"), 10 * number + channel)
        label(Path(f"{start}zones_A.nii.gz"), number, 0, 1, 2)
        label(Path(f"{start}lesion_human.nii.gz"), number, 0, grade)
    return folder
