"""The images in a folder, and whose each is by its name."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfadv.inference.predictions import NOTE
from tfrecords.errors import UserError
from tfrecords.geometry import data_files
from tfrecords.geometry.dicom import is_series
from tfrecords.geometry.nifti import NIFTI_ENDINGS

ENDINGS = (*NIFTI_ENDINGS, ".mha", ".mhd", ".nrrd", ".nhdr")
NUMBERED = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class Image:
    """An image file, or a folder of a DICOM series.

    Attributes:
        folder: the name of the folder that it shares with others of its subject; empty if none.
        stem: its own name without the ending.
    """

    path: Path
    folder: str
    stem: str


# Whose an image is, and which modality; None where its name does not say so.
Layout = Callable[[Image, Sequence[str]], tuple[str, int] | None]


def listed(folder: Path) -> tuple[list[Image], list[Path]]:
    """The images in a folder and in its folders, and the paths that are none.

    Folders of earlier predictions are not looked into.
    """
    images, others = [], []
    for path, parent in _paths(folder):
        if stem := stem_of(path):
            images.append(Image(path, parent, stem))
        else:
            others.append(path)
    voxels = {file for image in images for file in _voxels(image.path)}
    return images, [path for path in others if path not in voxels]


def stem_of(path: Path) -> str:
    """An image's name without its ending; empty of what is none, and of what is hidden."""
    if path.name.startswith("."):
        return ""
    if path.is_dir():
        return path.name if is_series(path) else ""
    fitting = [ending for ending in ENDINGS if path.name.lower().endswith(ending)]
    return path.name[: -len(fitting[0])] if fitting and path.is_file() else ""


def layout_of(images: Sequence[Image], modalities: Sequence[str]) -> Layout:
    """Which of the layouts below a folder has, in this order: the first that fits any image.

    Numbers may be those of subjects: as modalities, they begin with the first.
    """
    if any(number == 0 for found in images for _, number in filter(None, [numbered(found, ())])):
        return numbered
    if any(named(image, modalities) for image in images):
        return named
    return whole


def numbered(image: Image, _: Sequence[str]) -> tuple[str, int] | None:
    """`case_0000`, as nnU-Net numbers modalities."""
    found = NUMBERED.fullmatch(image.stem)
    return (found[1], int(found[2])) if found else None


def named(image: Image, modalities: Sequence[str]) -> tuple[str, int] | None:
    """`case_t1`, or `t1` in a folder `case`."""
    stem = image.stem.casefold()
    # Of t1 and post_t1, the longer.
    for modality in sorted(modalities, key=len, reverse=True):
        place = modalities.index(modality)
        if stem == modality.casefold() and image.folder:
            return image.folder, place
        if stem.endswith(f"_{modality.casefold()}"):
            return image.stem[: -len(modality) - 1], place
    return None


def whole(image: Image, _: Sequence[str]) -> tuple[str, int]:
    """`case`, of all modalities."""
    return image.stem, 0


def _paths(folder: Path) -> Iterator[tuple[Path, str]]:
    """What lies in a folder, and in its folders with their names."""
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or is_series(path):
            yield path, ""
        elif not (path / NOTE).is_file():
            for inner in sorted(path.iterdir()):
                yield inner, path.name


def _voxels(path: Path) -> tuple[Path, ...]:
    """The files in which an image's header says that its voxels are."""
    try:
        return data_files.files_of(path)
    except (UserError, ValueError, OSError):
        return ()  # What is wrong with it, reading says.
