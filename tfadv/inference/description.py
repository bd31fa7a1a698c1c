"""What a client must know of a model, and what tells people whether it is theirs to use."""

from dataclasses import dataclass, field
from pathlib import Path

from tfadv.inference.calibration import Calibration
from tfrecords.errors import UserError
from tfrecords.records.manifest import Manifest
from tfrecords.records.relations import faults_of_choices
from tfrecords.sources.subject import LabelClass

DESCRIPTION = "description.json"
VERSION = 5  # Of the description.
REMEDY = "Export the run again"
VALIDATION, TEST = "validation", "test"


@dataclass(frozen=True)
class MemberNote:
    """The run that a member of a model comes from.

    Attributes:
        epoch: the one whose weights it has, and the best by `selected_by`, which is `validation`
            then.
        mirrored: axes along which it sees volumes mirrored, too.
        subjects: how many trained, validated and tested it, by these words.
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
    subjects: dict[str, int] = field(default_factory=dict)


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
class ScoreNote:
    """Dice of subjects that trained nothing, each segmented by one member alone.

    Attributes:
        split: VALIDATION, of subjects that chose an epoch; or TEST.
        region: a class or region, or MEAN.
        dice, deviation: mean and standard deviation over subjects.
    """

    split: str
    region: str
    subjects: int
    dice: float
    deviation: float


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
        licence: of the data, as their source states it; empty where it does not.
        members: their probabilities are averaged.
        quality: names of what the model says of its label maps; see `inference.quality`.
        calibration: what Dice to expect when it says so; None where that was not measured.
        maker: the version of tfadv, and its commit where that is known.
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
    licence: str
    members: tuple[MemberNote, ...]
    components: tuple[ComponentNote, ...] = ()
    scores: tuple[ScoreNote, ...] = ()
    seen: Seen = NOTHING
    quality: tuple[str, ...] = ()
    calibration: Calibration | None = None
    maker: str = ""
    files: dict[str, str] = field(default_factory=dict)

    @property
    def methods(self) -> str:
        """Names of the members' methods, each once."""
        return ", ".join(dict.fromkeys(member.method for member in self.members))


def require_possible(made: Description, place: Path | str) -> None:
    """Raises UserError where what a description says of grids cannot be."""
    spacings_mm = made.spacing_mm, made.wanted_spacing_mm
    for fault in faults_of_choices(made.orientation, *spacings_mm, made.crop):
        raise UserError(f"{place}: {fault}. {REMEDY}")


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
