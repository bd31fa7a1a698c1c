"""Three patients of a BraTS challenge, of two grades."""

from collections.abc import Callable
from pathlib import Path


def write(folder: Path, image: Callable[..., None], label: Callable[..., None]) -> Path:
    for number, place in enumerate(("HGG/a", "HGG/b", "LGG/c")):
        start = f"{folder / place / Path(place).name}_"
        for channel, kind in enumerate(("t1", "t1ce", "t2", "flair")):
            image(Path(f"{start}{kind}.nii.gz"), 10 * number + channel)
        label(Path(f"{start}seg.nii.gz"), number, 0, 1, 2, 4)
    return folder
