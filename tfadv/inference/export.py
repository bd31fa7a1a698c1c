"""A segmentor as a SavedModel that needs no code of ours, with what a client must know of it."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import tensorflow as tf

from tfadv.inference.calibration import Calibration
from tfadv.inference.predictor import Predictor
from tfadv.inference.versions import publish, require_versions
from tfrecords.files import file_checksum, write_json
from tfrecords.records.manifest import Manifest
from tfrecords.sources.subject import LabelClass

DESCRIPTION = "description.json"
VERSION = 4  # Of the description.


@dataclass(frozen=True)
class MemberNote:
    """The run that a member of a model comes from.

    Attributes:
        epoch: the one whose weights it has, and the best by `selected_by`, which is `validation`
            then.
        mirrored: axes along which it sees volumes mirrored, too.
    """

    method: str
    hyperparameters: dict[str, bool | int | float | str]
    seed: int = 0
    training_folds: tuple[str, ...] = ()
    validation_folds: tuple[str, ...] = ()
    test_folds: tuple[str, ...] = ()
    selected_by: str = ""
    epoch: int = 0
    validation: float | None = None
    mirrored: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComponentNote:
    """What the validation subjects say of keeping one map's largest component alone.

    Attributes:
        map: one of `Description.maps`.
        subjects: scored, each by the members that it validated.
        dice, dice_of_largest: their mean Dice without and with it, all other maps as they are.
        kept: whether the model keeps the largest component of this map alone.
    """

    map: str
    subjects: int
    dice: float
    dice_of_largest: float
    kept: bool


@dataclass(frozen=True)
class Seen:
    """Whose images a model knows: `SubjectRecord.fingerprint` of each.

    Attributes:
        training: those that trained any member.
        validation: of the others, those that chose any member's epoch.
    """

    training: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()


NOTHING = Seen()


@dataclass(frozen=True)
class Description:
    """A model's channels, classes and grid, and what it was trained by.

    Attributes:
        maps: names of what the probabilities stand for.
        exclusive: whether these are classes, of which each voxel has one.
        spacing_mm, wanted_spacing_mm, crop: see `Manifest`.
        members: their probabilities are averaged.
        quality: names of what the model says of its label maps; see `inference.quality`.
        calibration: what Dice to expect when it says so; None where that was not measured.
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
    members: tuple[MemberNote, ...]
    components: tuple[ComponentNote, ...] = ()
    seen: Seen = NOTHING
    quality: tuple[str, ...] = ()
    calibration: Calibration | None = None
    files: dict[str, str] = field(default_factory=dict)

    @property
    def methods(self) -> str:
        """Names of the members' methods, each once."""
        return ", ".join(dict.fromkeys(member.method for member in self.members))


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
        tuple(members),
        tuple(components),
        seen,
        predictor.quality,
        calibration,
    )


def kind(made: Description | Manifest) -> dict[str, object]:
    """What a volume must be for a model, and what its label map is, by their names in messages."""
    return {
        "modalities": made.modalities,
        "classes": [(c.name, *c.labels) for c in made.classes],
        "regions": made.regions,
        "orientation": made.orientation,
        "spacing": made.wanted_spacing_mm,
        "crop": made.crop,
        "type of images": made.image_dtype,
    }


def export(predictor: Predictor, description: Description, out_dir: Path) -> Path:
    """Writes serving_default(volume) -> {label, probabilities, quality}, and its description.

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
        tf.saved_model.save(predictor, str(new), {"serving_default": predictor.serve})
        described = new / "assets" / DESCRIPTION
        files = {
            path.relative_to(new).as_posix(): file_checksum(path)
            for path in sorted(new.rglob("*"))
            if path.is_file() and path != described
        }
        write_json(described, replace(description, files=files), VERSION)
        return publish(new, out_dir)
