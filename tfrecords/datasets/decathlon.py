"""Medical Segmentation Decathlon and nnU-Net: `dataset.json`, `imagesTr`, `labelsTr`.

The decathlon lists its cases and keeps modalities in one 4D file; nnU-Net keeps one file per
modality (`case_0000.nii.gz`, `case_0001.nii.gz`, ...) and may name regions (lists of labels).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfrecords.errors import UserError
from tfrecords.subject import Dataset, LabelClass, Subject, require_dir


def find(data_dir: Path | None, workers: int) -> Dataset:
    """The training cases: those with labels."""
    folder = require_dir(data_dir, "decathlon")
    path = folder / "dataset.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; --dataset decathlon expects one in --data_dir")
    try:
        content = json.loads(path.read_text())
        channels = content.get("channel_names") or content["modality"]
        modalities = tuple(channels[key] for key in sorted(channels, key=int))
        classes, regions = _classes(content["labels"])
        if any(not 0 <= label < 256 for c in classes for label in c.labels):
            raise ValueError("labels outside 0 to 255")
        if "training" in content:
            subjects = tuple(_listed(folder, content["training"]))
        else:
            ending = content.get("file_ending", ".nii.gz")
            subjects = tuple(_numbered(folder, ending, len(modalities)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: expected JSON with modality (or channel_names), labels, and image and label "
            f"of every training case it lists, received {error!r}"
        ) from error
    return Dataset("decathlon", modalities, classes, subjects, regions)


def _classes(
    labels: dict[str, Any],
) -> tuple[tuple[LabelClass, ...], dict[str, tuple[str, ...]]]:
    """Classes and regions of {"1": "liver"}, {"liver": 1} and {"whole": [1, 2], "core": [2]}."""
    if all(key.isdigit() for key in labels):
        labels = {name: int(value) for value, name in labels.items()}
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


def _numbered(folder: Path, ending: str, modalities: int) -> Iterator[Subject]:
    for label in sorted((folder / "labelsTr").glob(f"[!.]*{ending}")):
        name = label.name.removesuffix(ending)
        images = (folder / "imagesTr" / f"{name}_{m:04d}{ending}" for m in range(modalities))
        yield Subject(name, tuple(images), label)
