"""What a named method is: a paper, hyperparameters with their sources, and how to build it."""

import abc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, ClassVar, Self, TypeVar

import keras
from pydantic import TypeAdapter, ValidationError

from tfadv.inference.judges import SliceJudge
from tfadv.inference.targets import Targets, class_targets
from tfadv.inference.tiling import SlidingWindow, Tiling
from tfadv.methods.checks import COUNT, Check, one_of
from tfadv.players import Players
from tfrecords.errors import SettingError
from tfrecords.reading.normalisation import SCHEMES
from tfrecords.reading.recipe import Recipe
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import View

PRESETS = ("paper", "small")
# A departure of methods whose maps are regions; see `inference.targets`.
JOINT_DECISION = (
    "how maps of regions become labels is not stated: each voxel gets the class whose combination "
    "of regions is the likeliest by all maps jointly, not by a threshold for each"
)
Value = TypeVar("Value")


def hyperparameter(default: Value, source: str, check: Check, small: Value | None = None) -> Value:
    """A dataclass field whose default stands here once.

    Args:
        default: the paper's value, used by `--preset paper`.
        source: where the paper states it, or "ours" with the reason.
        check: what it may be.
        small: the value of `--preset small`, where it differs.
    """
    return field(default=default, metadata={"source": source, "check": check, "small": small})


@dataclass(frozen=True, kw_only=True)
class Method(abc.ABC):
    """A named algorithm that `--method` accepts, configured: it holds its hyperparameters.

    A room subclasses it, once for each named method, and lists these in METHODS. A method has
    the hyperparameters that it uses, and no others.

    Attributes:
        name: the value of --method.
        summary: one line.
        paper: the citation.
        view: how subjects are cut into what it trains on; the number of patches is the user's.
        departures: from the paper, each with its reason.
        partner: of a baseline, the name of the method that has an adversary beside.
        sizes: hyperparameters that make it small or large, the cheapest first, for
            launch/plan.py to choose from; the other values are those of `--preset small`.

    Raises:
        SettingError: a value of another type, or that its check refuses.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    view: ClassVar[View]
    departures: ClassVar[Sequence[str]] = ()
    partner: ClassVar[str] = ""
    sizes: ClassVar[Sequence[Mapping[str, int]]] = ({},)

    # Every room says how long it trains, and on how much at once.
    epochs: int
    steps_per_epoch: int
    batch_size: int
    normalisation: str = hyperparameter("z_score", "ours: not stated", one_of(*SCHEMES))
    precision: str = hyperparameter(
        "float32",
        "ours: of the networks' inner layers; mixed_float16, with loss scaling, for GPUs that are "
        "slow in bfloat16",
        one_of("float32", "mixed_bfloat16", "mixed_float16"),
        small="mixed_bfloat16",
    )
    accumulation: int = hyperparameter(
        1,
        "ours: equal parts of a minibatch, which pass one after another for the memory of one and "
        "move a player once; batch normalisation sees a part, not the minibatch",
        COUNT,
    )

    def __post_init__(self) -> None:
        for known in fields(self):
            _require(known, getattr(self, known.name))
        if self.batch_size % self.accumulation:
            raise SettingError(
                "hp.accumulation",
                f"expected a divisor of batch_size, which is {self.batch_size}, received "
                f"{self.accumulation}",
            )

    @classmethod
    def configure(cls, preset: str = "paper", overrides: Sequence[str] = ()) -> Self:
        """This method with a preset's values, some overridden by `name=value`.

        Raises:
            SettingError: unknown name, wrong type or illegal value; names the legal ones.
        """
        if preset not in PRESETS:
            raise SettingError(
                "preset", f"expected one of {', '.join(PRESETS)}, received {preset!r}"
            )
        values = {
            known.name: known.metadata["small"]
            for known in fields(cls)
            if preset == "small" and known.metadata["small"] is not None
        }
        for override in overrides:
            name, _, text = override.partition("=")
            values[name] = _parsed(cls._known(name), text)
        return cls(**values)

    @classmethod
    def restore(cls, values: Mapping[str, Any]) -> Self:
        """This method with the values that `values` gave. Raises SettingError as `configure`."""
        for name in values:
            cls._known(name)
        return cls(**values)

    @property
    def values(self) -> dict[str, Any]:
        """All hyperparameters by name."""
        return asdict(self)

    @abc.abstractmethod
    def build(self, channels: int, outputs: Sequence[str]) -> Players:
        """Networks, optimizers and schedule.

        Args:
            channels: modalities of the images.
            outputs: the names of the segmentor's maps, those of `targets`.
        """

    @abc.abstractmethod
    def recipe(self, manifest: Manifest) -> Recipe:
        """How this method's examples are cropped, augmented and drawn."""

    @abc.abstractmethod
    def rate(self, optimizer: str, epoch: int = 0) -> float:
        """The learning rate of an optimizer in an epoch, counted from 0."""

    def paced(self, epochs: int, of_subject: float) -> Iterator[tuple[Mapping[str, float], str]]:
        """Hyperparameters that follow how long it trains, where that is chosen by the time: some of
        them and why, then others.

        Args:
            of_subject: how many examples of a subject the segmentor sees in all, in the mean.
        """
        yield from ()

    def players(self, channels: int, outputs: Sequence[str]) -> Players:
        """What trains: what `build` gives, or what a control makes of it."""
        return self.trained(self.build(channels, outputs))

    def trained(self, built: Players) -> Players:
        """Of what `build` gave, what trains: all, where there is no control."""
        return built

    def targets(self, manifest: Manifest) -> Targets:
        """What the segmentor's maps stand for: the manifest's exclusive classes."""
        return class_targets(manifest)

    def tiling(self, manifest: Manifest) -> Tiling:
        """How the segmentor covers whole volumes: by windows of the training crop's size."""
        return SlidingWindow(self.recipe(manifest).size)

    def judge(self, discriminator: keras.Model) -> SliceJudge | None:
        """What tells of finished maps by the trained discriminator; None where it cannot tell.

        A critic cannot that compares a map with the true one, or whose normalisation must see both.
        """
        return None

    def remarks(self, manifest: Manifest) -> Iterable[str]:
        """What this record set lacks of the paper's, for whoever starts to train on it."""
        return ()

    @classmethod
    def _known(cls, name: str) -> "Field[Any]":
        known = {f.name: f for f in fields(cls)}
        if name not in known:
            raise SettingError(
                f"hp.{name}",
                f"{cls.name} has no such hyperparameter. It has: {', '.join(sorted(known))}",
            )
        return known[name]


def _parsed(known: "Field[Any]", text: str) -> Any:
    """A value from the command line."""
    try:
        return TypeAdapter(type(known.default)).validate_python(text)
    except ValidationError:
        raise _wrong(known, text) from None


def _require(known: "Field[Any]", value: Any) -> None:
    """Raises SettingError where a value is not of the hyperparameter's type, or is refused."""
    kind = type(known.default)
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits or not known.metadata["check"].holds(value):
        raise _wrong(known, value)


def _wrong(known: "Field[Any]", received: Any) -> SettingError:
    words = known.metadata["check"].words
    kind = {int: "a whole number", float: "a number", str: "a word", bool: "a switch"}
    return SettingError(
        f"hp.{known.name}",
        f"expected {kind[type(known.default)]}, {words} (default {known.default}), "
        f"received {received!r}",
    )


def round_up(extent: int, multiple: int) -> int:
    """The least multiple that is not below the extent."""
    return -(-extent // multiple) * multiple
