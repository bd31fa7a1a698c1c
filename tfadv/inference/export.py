"""A segmentor as a SavedModel that needs no code of ours, with what a client must know of it."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import tensorflow as tf

from tfadv.inference.calibration import Calibration
from tfadv.inference.card import CARD, card
from tfadv.inference.description import (
    DESCRIPTION,
    NOTHING,
    VERSION,
    ComponentNote,
    Description,
    MemberNote,
    Seen,
)
from tfadv.inference.maker import maker
from tfadv.inference.predictor import Predictor
from tfadv.inference.signatures import signatures
from tfadv.inference.versions import publish, require_versions
from tfadv.inference.warm_up import write_warm_up
from tfrecords.files import file_checksum, write_file, write_json
from tfrecords.records.manifest import Manifest


def describe(
    predictor: Predictor,
    manifest: Manifest,
    members: Sequence[MemberNote],
    components: Sequence[ComponentNote] = (),
    seen: Seen = NOTHING,
    calibration: Calibration | None = None,
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
        manifest.licence,
        tuple(members),
        tuple(components),
        seen=seen,
        quality=predictor.quality,
        calibration=calibration,
        maker=maker(),
    )


def export(predictor: Predictor, description: Description, out_dir: Path) -> Path:
    """Writes a SavedModel of all `signatures`, its description among the assets, and a card.

    Args:
        out_dir: the model's folder of versions.

    Returns:
        The new version's folder in it; see `publish`.

    Raises:
        SettingError: `out_dir` exists and holds something else.
    """
    require_versions(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix=".export-") as folder:
        path = Path(folder) / DESCRIPTION
        write_json(path, description, VERSION)
        predictor.description = tf.saved_model.Asset(str(path))
        new = Path(folder) / "model"
        asked = signatures(predictor)
        tf.saved_model.save(predictor, str(new), asked)
        write_warm_up(new, asked)
        write_file(new / CARD, card(description).encode())
        described = new / "assets" / DESCRIPTION
        files = {
            path.relative_to(new).as_posix(): file_checksum(path)
            for path in sorted(new.rglob("*"))
            if path.is_file() and path != described
        }
        write_json(described, replace(description, files=files), VERSION)
        return publish(new, out_dir)
