"""Medical Segmentation Decathlon and nnU-Net: `dataset.json`, `imagesTr`, `labelsTr`.

The decathlon lists its cases and keeps modalities in one 4D file; nnU-Net keeps one file per
modality (`case_0000.nii.gz`, `case_0001.nii.gz`, ...) and may name regions (lists of labels).
nnU-Net's label `ignore`, the highest value, marks voxels that nobody annotated: it is no class.

With `--unlabelled`, the test cases of `imagesTs` are subjects without a label map: those that
`dataset.json` lists, or else all that are there.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfrecords.errors import UserError
from tfrecords.sources.subject import Dataset, LabelClass, Subject, require_dir

IGNORE = "ignore"


def find(data_dir: Path | None) -> Dataset:
    """The training cases, which have labels."""
    return _find(data_dir, unlabelled=False)


def find_with_unlabelled(data_dir: Path | None) -> Dataset:
    """The training cases, and the test cases, which have no labels."""
    return _find(data_dir, unlabelled=True)


def _find(data_dir: Path | None, *, unlabelled: bool) -> Dataset:
    folder = require_dir(data_dir, "decathlon")
    path = folder / "dataset.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; --dataset decathlon expects one in --data_dir")
    try:
        content = json.loads(path.read_text())
        channels = content.get("channel_names") or content["modality"]
        modalities = tuple(channels[key] for key in sorted(channels, key=int))
        labels, ignored = _ignored(_by_name(content["labels"]), path)
        classes, regions = _classes(labels)
        values = [label for c in classes for label in c.labels]
        if any(not 0 <= value < 256 for value in (*values, *ignored)):
            raise ValueError("labels outside 0 to 255")
        ending = content.get("file_ending", ".nii.gz")
        if "training" in content:
            subjects = [*_listed(folder, content["training"])]
            tests = _listed_tests(folder, ending, content.get("test"))
        else:
            subjects = [*_numbered(folder, ending, len(modalities))]
            tests = _numbered_tests(folder, ending, len(modalities))
        if unlabelled:
            subjects += tests
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        test = ", and the image of every test case" if unlabelled else ""
        raise UserError(
            f"{path}: expected JSON with modality (or channel_names), labels, and image and label "
            f"of every training case it lists{test}, received {error!r}"
        ) from error
    return Dataset("decathlon", modalities, classes, tuple(subjects), regions, ignored=ignored)


def _by_name(labels: dict[str, Any]) -> dict[str, Any]:
    """{"liver": 1} of {"1": "liver"}; what is by name already, as it is."""
    if all(key.isdigit() for key in labels):
        return {name: int(value) for value, name in labels.items()}
    return labels


def _ignored(labels: dict[str, Any], path: Path) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The labels that are annotated, and the value of those that are not, if there is one.

    Raises:
        UserError: it is not one value, higher than all others.
    """
    if IGNORE not in labels:
        return labels, ()
    others = {name: value for name, value in labels.items() if name != IGNORE}
    values = [
        v for value in others.values() for v in (value if isinstance(value, list) else [value])
    ]
    ignored = labels[IGNORE]
    if isinstance(ignored, list) or int(ignored) <= max(map(int, values), default=0):
        raise UserError(
            f"{path}: labels: expected one value of {IGNORE!r}, higher than all others, as nnU-Net "
            f"has it, received {labels}. Give the label another name if it is a class"
        )
    return others, (int(ignored),)


def _classes(
    labels: dict[str, Any],
) -> tuple[tuple[LabelClass, ...], dict[str, tuple[str, ...]]]:
    """Classes and regions of {"liver": 1} and {"whole": [1, 2], "core": [2]}."""
    if not any(isinstance(value, list) for value in labels.values()):
        ordered = sorted(labels.items(), key=lambda item: item[1])
        return tuple(LabelClass(name, (int(value),)) for name, value in ordered), {}
    unions = {name: v if isinstance(v, list) else [v] for name, v in labels.items()}
    values = sorted({value for union in unions.values() for value in union} | {0})
    names = {value: "background" if value == 0 else f"label_{value}" for value in values}
    regions = {n: tuple(names[v] for v in union) for n, union in unions.items() if union != [0]}
    return tuple(LabelClass(names[value], (value,)) for value in values), regions


def _listed(folder: Path, cases: list[dict[str, str]]) -> Iterator[Subject]:
    for case in cases:
        image, label = folder / case["image"], folder / case["label"]
        yield Subject(image.name.split(".")[0], (image,), label)


def _listed_tests(folder: Path, ending: str, cases: list[str] | None) -> Iterator[Subject]:
    found = sorted((folder / "imagesTs").glob(f"[!.]*{ending}"))
    for image in [folder / case for case in cases or ()] or found:
        yield Subject(image.name.split(".")[0], (image,), None)


def _numbered(folder: Path, ending: str, modalities: int) -> Iterator[Subject]:
    for label in sorted((folder / "labelsTr").glob(f"[!.]*{ending}")):
        name = label.name.removesuffix(ending)
        yield Subject(name, _images(folder / "imagesTr", name, ending, modalities), label)


def _numbered_tests(folder: Path, ending: str, modalities: int) -> Iterator[Subject]:
    pattern = rf"([^.].*)_\d{{4}}{re.escape(ending)}"
    paths = (folder / "imagesTs").glob("*")
    matches = (re.fullmatch(pattern, path.name) for path in paths)
    for name in sorted({match[1] for match in matches if match}):
        yield Subject(name, _images(folder / "imagesTs", name, ending, modalities), None)


def _images(folder: Path, name: str, ending: str, modalities: int) -> tuple[Path, ...]:
    return tuple(folder / f"{name}_{modality:04d}{ending}" for modality in range(modalities))
