"""Medical Segmentation Decathlon and nnU-Net: `dataset.json`, `imagesTr`, `labelsTr`.

The decathlon lists its cases under `training` and keeps modalities in one 4D file. nnU-Net keeps
one file per modality (`case_0000.nii.gz`, `case_0001.nii.gz`, ...), which its first version lists
as `case.nii.gz`, may name regions (lists of labels), and may have its cases elsewhere, as `dataset`
says:

    "dataset": {"case": {"images": ["../scans/a.nii.gz", ...], "label": "$LABELS/a.nii.gz"}}

nnU-Net's label `ignore`, the highest value, marks voxels that nobody annotated: it is no class.
Paths are relative to `dataset.json`, and may hold variables of the environment.

With `--unlabelled`, the test cases of `imagesTs` are subjects without a label map: those that
`dataset.json` lists, or else all that are there; and so are nnU-Net's images in `imagesTr` without
a label map. What is left out otherwise is told.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from absl import logging

from tfrecords.errors import UserError, about
from tfrecords.names import shortened
from tfrecords.sources.dataset_json import Content, ListedCase, NamedCase, read_dataset_json
from tfrecords.sources.subject import Dataset, Subject, require_dir

# Why files are left out, and what to do.
UNLISTED = "which dataset.json does not list", "List them with their label maps to take them"
UNNUMBERED = (
    "whose names are of no case and modality of dataset.json",
    "Number their modalities in its channel_names to take them",
)


def find(data_dir: Path | None) -> Dataset:
    """The training cases, which have labels."""
    return _find(data_dir, unlabelled=False)


def find_with_unlabelled(data_dir: Path | None) -> Dataset:
    """The training cases, and the test cases and others, which have no labels."""
    return _find(data_dir, unlabelled=True)


def _find(data_dir: Path | None, *, unlabelled: bool) -> Dataset:
    folder = require_dir(data_dir, "decathlon")
    path = folder / "dataset.json"
    with about(path):
        content = read_dataset_json(path)
        modalities, ending = content.modalities(), content.file_ending
        classes, regions = content.classes()
        others: list[Subject] = []
        if content.dataset is not None:
            subjects = list(_named(folder, content.dataset, len(modalities)))
            _tell_unlisted(folder, ending, subjects, UNLISTED)
        elif content.training is not None:
            subjects = list(_listed(folder, ending, content.training, len(modalities)))
            _tell_unlisted(folder, ending, subjects, UNLISTED)
        else:
            subjects = list(_numbered(folder, ending, len(modalities)))
            others = _without_label(folder / "imagesTr", ending, len(modalities), subjects)
            _tell_unlisted(folder, ending, [*subjects, *others], UNNUMBERED)
        _tell_count(content, path, len(subjects))
        if unlabelled:
            subjects += others + _tests(folder, content, len(modalities))
        elif others:
            _tell_unlabelled(folder, others)
        return Dataset(
            "decathlon",
            modalities,
            classes,
            tuple(subjects),
            regions,
            ignored=content.ignored(),
            licence=content.licence if isinstance(content.licence, str) else "",
        )


def _listed(
    folder: Path, ending: str, cases: Iterable[ListedCase], modalities: int
) -> Iterator[Subject]:
    for case in cases:
        image = _place(folder, case.image)
        images = _whole_or_numbered(image, ending, modalities)
        yield Subject(_stem(image, ending), images, _place(folder, case.label))


def _whole_or_numbered(image: Path, ending: str, modalities: int) -> tuple[Path, ...]:
    """A listed image; where there is none, but files of its modalities, these."""
    numbered = _images(image.parent, _stem(image, ending), ending, modalities)
    # Of names that no file can have, Path.exists raises, and this says no.
    exists = os.path.exists
    return numbered if not exists(image) and any(map(exists, numbered)) else (image,)


def _named(folder: Path, cases: Mapping[str, NamedCase], modalities: int) -> Iterator[Subject]:
    for name, case in cases.items():
        if len(case.images) not in (1, modalities):
            raise UserError(
                f"dataset.{name!r:.80}.images: expected {modalities}, one for each modality, or a "
                f"single 4D one, received {len(case.images)}"
            )
        images = tuple(_place(folder, image) for image in case.images)
        yield Subject(name, images, _place(folder, case.label))


def _place(folder: Path, path: str) -> Path:
    return folder / os.path.expandvars(path)


def _stem(path: Path, ending: str) -> str:
    """A file's name without the dataset's ending, or its own."""
    if path.name.endswith(ending):
        return path.name.removesuffix(ending)
    return Path(path.name.removesuffix(".gz")).stem


def _files(folder: Path, ending: str) -> list[Path]:
    """Files that are not hidden."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in found if p.name.endswith(ending) and not p.name.startswith("."))


def _numbered(folder: Path, ending: str, modalities: int) -> Iterator[Subject]:
    for label in _files(folder / "labelsTr", ending):
        name = _stem(label, ending)
        yield Subject(name, _images(folder / "imagesTr", name, ending, modalities), label)


def _without_label(
    folder: Path, ending: str, modalities: int, labelled: Iterable[Subject] = ()
) -> list[Subject]:
    """What has images of nnU-Net's names, but for the labelled."""
    pattern = rf"(.+)_\d{{4}}{re.escape(ending)}"
    matches = (re.fullmatch(pattern, path.name) for path in _files(folder, ending))
    names = {match[1] for match in matches if match} - {subject.name for subject in labelled}
    return [Subject(n, _images(folder, n, ending, modalities), None) for n in sorted(names)]


def _images(folder: Path, name: str, ending: str, modalities: int) -> tuple[Path, ...]:
    return tuple(folder / f"{name}_{modality:04d}{ending}" for modality in range(modalities))


def _tests(folder: Path, content: Content, modalities: int) -> list[Subject]:
    """Those that the decathlon lists, or else finds; nnU-Net's are numbered."""
    ending = content.file_ending
    if content.training is None or content.dataset is not None:
        return _without_label(folder / "imagesTs", ending, modalities)
    listed = [_place(folder, image) for image in content.tests()]
    images = listed or _files(folder / "imagesTs", ending)
    return [
        Subject(_stem(image, ending), _whole_or_numbered(image, ending, modalities), None)
        for image in images
    ]


def _tell_count(content: Content, path: Path, found: int) -> None:
    if content.training_cases not in (None, found):
        logging.warning(
            f"{path}: numTraining is {content.training_cases}, but there are {found} training cases"
        )


def _tell_unlisted(
    folder: Path, ending: str, subjects: Iterable[Subject], told: tuple[str, str]
) -> None:
    """Of files in the usual folders that no case has."""
    listed = {os.path.abspath(path) for subject in subjects for path in subject.files}
    for place in (folder / "imagesTr", folder / "labelsTr"):
        names = [p.name for p in _files(place, ending) if os.path.abspath(p) not in listed]
        if names:
            why, what_to_do = told
            logging.warning(
                f"{place}: {len(names)} files are left out, {why}: {shortened(names)}. {what_to_do}"
            )


def _tell_unlabelled(folder: Path, subjects: Sequence[Subject]) -> None:
    logging.warning(
        f"{folder / 'imagesTr'}: {len(subjects)} cases are left out, which have no label map in "
        f"{folder / 'labelsTr'}: {shortened([subject.name for subject in subjects])}. Give "
        "--unlabelled to take them without"
    )
