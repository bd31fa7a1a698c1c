"""A segmentor as a SavedModel that needs no code of ours, with what a client must know of it."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfadv.inference.predictor import Predictor
from tfrecords.errors import SettingError
from tfrecords.files import file_checksum, write_json
from tfrecords.records.manifest import Manifest
from tfrecords.sources.subject import LabelClass

DESCRIPTION = "description.json"
VERSION = 2  # Of the description.


@dataclass(frozen=True)
class Description:
    """A model's channels, classes and grid, and what it was trained by.

    Attributes:
        maps: names of what the probabilities stand for.
        exclusive: whether these are classes, of which each voxel has one.
        spacing_mm, wanted_spacing_mm, crop: see `Manifest`.
        files: the SHA-256 of each of the model's other files, as `export` wrote them.
    """

    dataset: str
    modalities: tuple[str, ...]
    classes: tuple[LabelClass, ...]
    regions: dict[str, tuple[str, ...]]
    maps: tuple[str, ...]
    exclusive: bool
    orientation: str
    spacing_mm: tuple[float, float, float]
    wanted_spacing_mm: tuple[float, float, float] | None
    crop: tuple[int, int, int] | None
    image_dtype: str
    normalisation: str
    method: str
    hyperparameters: dict[str, bool | int | float | str]
    files: dict[str, str] = field(default_factory=dict)


def describe(
    predictor: Predictor, manifest: Manifest, method: str, hyperparameters: Mapping[str, Any]
) -> Description:
    return Description(
        manifest.dataset,
        manifest.modalities,
        manifest.classes,
        dict(manifest.regions),
        predictor.targets.names,
        predictor.targets.exclusive,
        manifest.orientation,
        manifest.spacing_mm,
        manifest.wanted_spacing_mm,
        manifest.crop,
        manifest.image_dtype,
        predictor.scheme,
        method,
        dict(hyperparameters),
    )


def export(predictor: Predictor, description: Description, out_dir: Path) -> None:
    """Writes serving_default(volume) -> {label, probabilities}, its description among the assets.

    Atomic: `out_dir` is complete, or what it was before.

    Raises:
        SettingError: `out_dir` exists and is not a SavedModel.
    """
    if out_dir.exists() and not (out_dir / "saved_model.pb").is_file():
        raise SettingError(
            "out_dir", f"{out_dir} exists and is no SavedModel; choose another folder"
        )
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=".export-") as folder:
        path = Path(folder) / DESCRIPTION
        write_json(path, description, VERSION)
        predictor.description = tf.saved_model.Asset(str(path))
        new = Path(folder) / "model"
        tf.saved_model.save(predictor, str(new), {"serving_default": predictor.predict})
        described = new / "assets" / DESCRIPTION
        files = {
            path.relative_to(new).as_posix(): file_checksum(path)
            for path in sorted(new.rglob("*"))
            if path.is_file() and path != described
        }
        write_json(described, replace(description, files=files), VERSION)
        if out_dir.exists():
            os.replace(out_dir, Path(folder) / "old")
        shutil.move(new, out_dir)
