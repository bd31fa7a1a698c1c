"""A trained run as a SavedModel that needs no code of ours."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfadv.inference.predictor import Predictor
from tfrecords.errors import UserError
from tfrecords.files import write_json
from tfrecords.records.manifest import Manifest

DESCRIPTION = "description.json"


def export(
    predictor: Predictor,
    method: str,
    hyperparameters: Mapping[str, Any],
    manifest: Manifest,
    out_dir: Path,
) -> None:
    """Writes serving_default(volume) -> {label, probabilities}, its description among the assets.

    Atomic: `out_dir` is complete, or what it was before.

    Raises:
        UserError: `out_dir` exists and is not a SavedModel.
    """
    if out_dir.exists() and not (out_dir / "saved_model.pb").is_file():
        raise UserError(f"--out_dir: {out_dir} exists and is no SavedModel; choose another folder")
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=".export-") as folder:
        description = Path(folder) / DESCRIPTION
        write_json(description, describe(predictor, method, hyperparameters, manifest))
        predictor.description = tf.saved_model.Asset(str(description))
        new = Path(folder) / "model"
        tf.saved_model.save(predictor, str(new), {"serving_default": predictor.predict})
        if out_dir.exists():
            os.replace(out_dir, Path(folder) / "old")
        shutil.move(new, out_dir)


def describe(
    predictor: Predictor, method: str, hyperparameters: Mapping[str, Any], manifest: Manifest
) -> dict[str, object]:
    """What a client must know of the model's channels, classes and grid."""
    return {
        "dataset": manifest.dataset,
        "modalities": manifest.modalities,
        "classes": [asdict(label_class) for label_class in manifest.classes],
        "regions": manifest.regions,
        "maps": predictor.targets.names,
        "exclusive": predictor.targets.exclusive,
        "orientation": manifest.orientation,
        "spacing_mm": manifest.spacing_mm,
        "wanted_spacing_mm": manifest.wanted_spacing_mm,
        "image_dtype": manifest.image_dtype,
        "normalisation": predictor.scheme,
        "method": method,
        "hyperparameters": dict(hyperparameters),
    }
