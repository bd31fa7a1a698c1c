"""An exported model as a client opens it.

A SavedModel is a program: what it does is not bounded by what it says. So its folder is looked at
before TensorFlow loads it. That tells damage and strangers; it does not tell whom to trust.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfadv.inference.description import (
    DESCRIPTION,
    REMEDY,
    VERSION,
    Description,
    require_possible,
)
from tfadv.inference.segmented import Model, Segment, Segmented, refusal
from tfrecords.errors import UserError
from tfrecords.files import checksum_holds, file_checksum, read_json

OUTPUTS = {"label", "probabilities", "quality"}


def local(model_dir: Path) -> Model:
    """A model in a folder, which is loaded when it is opened.

    Raises:
        UserError: see `read_description`; so does opening it, see `load`.
    """
    description = read_description(model_dir)
    return Model(description, checksum_of(model_dir), lambda _: load(model_dir, description))


def read_description(model_dir: Path) -> Description:
    """The description of a model whose files are those that were exported.

    Raises:
        UserError: there is no model of ours, it is of another version, or a file is missing,
            damaged, or none of the model's.
    """
    path = model_dir / "assets" / DESCRIPTION
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected a model made by launch/export.py, "
            "or the folder of its versions"
        )
    description = read_json(path, Description, VERSION, REMEDY)
    require_possible(description, path)
    _require_files(model_dir, description)
    return description


def checksum_of(model_dir: Path) -> str:
    """SHA-256 of a model's description, which holds those of its other files."""
    return file_checksum(model_dir / "assets" / DESCRIPTION)


def _require_files(model_dir: Path, description: Description) -> None:
    """Raises UserError as `read_description`."""
    found = {}
    for path in sorted(model_dir.rglob("*")):
        if not path.resolve().is_relative_to(model_dir.resolve()):
            raise UserError(
                f"{path}: expected the model's own files, received a link that leads out of "
                f"{model_dir}. Copy the model whole"
            )
        if not path.is_dir():
            found[path.relative_to(model_dir).as_posix()] = path
    strangers = found.keys() - description.files.keys() - {f"assets/{DESCRIPTION}"}
    if strangers:
        raise UserError(
            f"{model_dir / min(strangers)}: the model was exported without this file, and "
            "TensorFlow may load it: a SavedModel is a program. Take it out of the folder"
        )
    for name, sha256 in description.files.items():
        if name not in found or not checksum_holds(found[name], sha256):
            fault = "changed since it was exported" if name in found else "no such file any more"
            raise UserError(f"{model_dir / name}: {fault}. {REMEDY}")


def load(model_dir: Path, description: Description) -> Segment:
    """What gives a volume [Z, Y, X, C], raw intensities, its labels and probabilities.

    Raises:
        UserError: TensorFlow cannot load it, or it is not what it is described as. So does the
            function that is given back, of a volume that the model refuses or for which there is
            no memory.
    """
    try:
        loaded = tf.saved_model.load(str(model_dir))
        serve = loaded.signatures["serving_default"]
        channels = serve.structured_input_signature[1]["volume"].shape[-1]
        outputs = serve.structured_outputs
    # TensorFlow raises dozens of types on damaged models; all mean the same to the user.
    except Exception as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise UserError(f"{model_dir}: cannot be loaded ({reason}). {REMEDY}") from error
    if channels != len(description.modalities) or not outputs.keys() >= OUTPUTS:
        raise UserError(
            f"{model_dir}: expected a model of {len(description.modalities)} channels with the "
            f"outputs {', '.join(sorted(OUTPUTS))}, received one of {channels} with "
            f"{', '.join(sorted(outputs))}. {REMEDY}"
        )

    def segment(volume: np.ndarray) -> Segmented:
        assert loaded is not None  # Its variables live as long as it does.
        try:
            found = serve(volume=tf.constant(volume.astype(np.float32, copy=False)))
            return Segmented(*(found[name].numpy() for name in Segmented._fields))
        except tf.errors.ResourceExhaustedError as error:
            shape = "x".join(map(str, volume.shape))
            raise UserError(f"{model_dir}: out of memory for a volume of {shape} voxels") from error
        except tf.errors.InvalidArgumentError as error:
            if refused := refusal(error.message):
                raise UserError(f"{model_dir}: {refused}") from error
            raise

    return segment
