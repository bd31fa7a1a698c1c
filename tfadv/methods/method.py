"""What a named method is: a paper, hyperparameters with their sources, and how to build it."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from pydantic import TypeAdapter, ValidationError

from tfadv.adversarial import Players
from tfadv.inference.targets import Targets, class_targets
from tfadv.inference.tiling import SlidingWindow, Tiling
from tfrecords.errors import UserError
from tfrecords.reading.batches import Recipe
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import View

PRESETS = ("paper", "small")
Value = TypeVar("Value")


def hyperparameter(default: Value, source: str, small: Value | None = None) -> Value:
    """A dataclass field whose default stands here once.

    Args:
        default: the paper's value, used by `--preset paper`.
        source: where the paper states it, or "ours" with the reason.
        small: the value of `--preset small`, where it differs.
    """
    return field(default=default, metadata={"source": source, "small": small})


@dataclass(frozen=True)
class Hyperparameters:
    """What every method has; each method's own dataclass adds to it."""

    epochs: int = hyperparameter(100, "ours")
    steps_per_epoch: int = hyperparameter(100, "ours")
    batch_size: int = hyperparameter(1, "ours")
    normalisation: str = hyperparameter("z_score", "ours")


class Method(abc.ABC):
    """A named algorithm that `--method` accepts. A room subclasses it and declares its instances.

    Attributes:
        name: the value of --method.
        summary: one line.
        values: what sets this method apart from the others of its room.
        small: the same for `--preset small`, where that needs other values.
        paper: the citation.
        view: how subjects are cut into what it trains on; the number of patches is the user's.
        departures: from the paper, each with its reason.
    """

    paper: ClassVar[str]
    view: View
    departures: ClassVar[Sequence[str]] = ()
    hyperparameters: ClassVar[type[Hyperparameters]]

    def __init__(
        self, name: str, summary: str, small: Mapping[str, Any] | None = None, **values: Any
    ) -> None:
        self.name = name
        self.summary = summary
        self.values = values
        self.small = small or {}

    @abc.abstractmethod
    def build(self, hp: Any, channels: int, outputs: Sequence[str]) -> Players:
        """Networks, optimizers and schedule.

        Args:
            channels: modalities of the images.
            outputs: the names of the segmentor's maps, those of `targets`.
        """

    @abc.abstractmethod
    def recipe(self, hp: Any, manifest: Manifest) -> Recipe:
        """How this method's examples are cropped, augmented and drawn; `batch` is a minibatch."""

    @abc.abstractmethod
    def learning_rates(self, hp: Any, epoch: int) -> Mapping[str, float]:
        """The learning rate of each optimizer in an epoch, counted from 0."""

    def targets(self, manifest: Manifest) -> Targets:
        """What the segmentor's maps stand for: the manifest's exclusive classes."""
        return class_targets(manifest)

    def tiling(self, hp: Any, manifest: Manifest) -> Tiling:
        """How the segmentor covers whole volumes: by windows of the training crop's size."""
        return SlidingWindow(self.recipe(hp, manifest).size)

    def resolve(self, preset: str = "paper", overrides: Sequence[str] = ()) -> Any:
        """Hyperparameters from a preset and `name=value` overrides.

        Raises:
            UserError: unknown name or wrong type; names the legal ones.
        """
        values = {
            f.name: f.metadata["small"]
            for f in fields(self.hyperparameters)
            if preset == "small" and f.metadata["small"] is not None
        }
        values |= self.values
        if preset == "small":
            values |= self.small
        for override in overrides:
            name, _, text = override.partition("=")
            values[name] = self._parse(name, text)
        return self.hyperparameters(**values)

    def _parse(self, name: str, text: str) -> Any:
        known: dict[str, Field[Any]] = {f.name: f for f in fields(self.hyperparameters)}
        if name not in known:
            legal = ", ".join(sorted(known))
            raise UserError(f"--hp.{name}: {self.name} has no such hyperparameter. It has: {legal}")
        kind = type(known[name].default)
        try:
            return TypeAdapter(kind).validate_python(text)
        except ValidationError:
            raise UserError(
                f"--hp.{name}: expected {kind.__name__} (default {self.default(name)}), "
                f"received {text!r}"
            ) from None

    def default(self, name: str) -> Any:
        """The paper preset's value of a hyperparameter."""
        return self.values.get(name, getattr(self.hyperparameters, name))
