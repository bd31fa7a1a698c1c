"""A predictor as one ONNX file, which runtimes of that format run without TensorFlow."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from absl import logging

from tfadv.inference.export import VERSION, Description
from tfadv.inference.members import Member
from tfadv.inference.onnx_conversion import convert
from tfadv.inference.predictor import Predictor
from tfrecords.errors import SettingError, UserError
from tfrecords.files import file_checksum, read_json, write_json, writing

ENDING = ".onnx"
LARGEST_BYTES = 2_000_000_000  # Of weights: the file is a protocol buffer, below 2 GiB.


def export_onnx(predictor: Predictor, description: Description, path: Path) -> None:
    """Writes MODEL.onnx, which gives of a volume the label map and probabilities of a SavedModel.

    It says nothing of the label map's quality: judges and agreement are not in it.

    Its metadata hold the description as JSON, by the name `description`; so does MODEL.json beside
    it, with the file's SHA-256. Networks compute in float32.

    Args:
        path: MODEL.onnx.

    Raises:
        SettingError: see `require_own`; or there are more weights than a file of this format can
            hold.
    """
    require_own(path)
    beside = path.with_suffix(".json")
    _require_fit(predictor.members)
    description = replace(description, quality=(), calibration=None)
    rounded = sorted({dtype for member in predictor.members for dtype in _rounded(member)})
    if rounded:
        logging.info(
            "%s: computes in float32, not in %s as in training: labels may differ from a "
            "SavedModel's where two are about as likely",
            path,
            " or ".join(rounded),
        )
    model = convert(predictor)
    model.metadata_props.add(key="description", value=json.dumps(asdict(description)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        # First: a file without its description would be taken for somebody else's.
        files = {path.name: file_checksum(temporary)}
        write_json(beside, replace(description, files=files), VERSION)


def require_own(path: Path) -> None:
    """Raises SettingError where MODEL.onnx, or MODEL.json, is there, and none that this wrote.

    Or where a file is in their folder's place.
    """
    beside = path.with_suffix(".json")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise SettingError("out_dir", f"expected {path} in a folder, received the file {above}")
    if not (os.path.lexists(path) or os.path.lexists(beside)):
        return
    try:
        files = set(read_json(beside, Description, VERSION, "").files)
    except UserError:
        files = set()
    # Its description is written first: after a kill between the two, it is there alone.
    if files != {path.name} or not (path.is_file() or not os.path.lexists(path)):
        raise SettingError(
            "out_dir",
            f"expected {path} and {beside.name} that launch/export.py wrote, or neither, received "
            "other files of these names; choose another name",
        )


def _require_fit(members: Sequence[Member]) -> None:
    weights = (weight for member in members for weight in member.segmentor.weights)
    needed = sum(4 * math.prod(weight.shape) for weight in weights)
    if needed > LARGEST_BYTES:
        raise SettingError(
            "format",
            f"expected weights of at most {LARGEST_BYTES} bytes, which an ONNX file can hold, "
            f"received {needed}; export fewer runs, or give --format=savedmodel",
        )


def _rounded(member: Member) -> set[str]:
    """Of the types that its layers compute in, those of fewer digits."""
    computed = {layer.compute_dtype for layer in member.segmentor._flatten_layers()}
    return computed - {"float32"}
