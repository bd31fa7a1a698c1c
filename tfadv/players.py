"""Who trains against whom: networks, optimizers, and the updates of one training step.

A method declares them; `adversarial.AdversarialModel` performs them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import tensorflow as tf

Batch = dict[str, tf.Tensor]
Networks = Mapping[str, keras.Model]
LOOKED = "looked"  # In a batch; see `Update.looks`.


class Scene(NamedTuple):
    """What an update's terms look at.

    Attributes:
        shared: what the update's pass gave, computed once for all terms.
    """

    networks: Networks
    batch: Batch
    shared: Any


Value = Callable[[Scene], tf.Tensor]


class Outcome(NamedTuple):
    """What an update computes: scalars by name.

    Attributes:
        terms: weighted; their sum is differentiated.
        observed: only logged.
    """

    terms: dict[str, tf.Tensor]
    observed: dict[str, tf.Tensor]


@dataclass(frozen=True)
class Term:
    """A summand of an update's loss.

    Attributes:
        name: in logs.
        value: a scalar, the mean over the replica's minibatch.
        words: its formula, for the method's card.
        verdict: whether it tells the segmentor what a judge says of its maps.
        unreached: ends of the paths of weights that it cannot reach, by mathematics.
    """

    name: str
    value: Value
    words: str = ""
    weight: float = 1.0
    verdict: bool = False
    unreached: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.words if self.weight == 1 else f"{self.weight:g} * {self.words}"


@dataclass(frozen=True)
class Update:
    """One gradient step on one minibatch.

    Attributes:
        name: "discriminator".
        trains: the optimizer, by name, of each network that moves. An optimizer serves one network.
        terms: of the loss. Each reaches every network in `trains`.
        forward: the pass that all terms share: (networks, batch) -> `Scene.shared`.
        observes: scalars that are only logged, by name.
        ascends: networks among `trains` that climb the loss instead (gradient reversal).
        minibatch: which of the step's minibatches; updates with equal numbers share theirs.
        by: who does what, for the method's card: "D descends".
        looks: an update that follows on the same minibatch, by name. What its pass gives is in this
            one's batch as LOOKED, to be looked at: its networks do not move before its turn. Where
            the batch has none, `forward` makes that pass itself.
        shuffle: of an update that trains a judge: makes its verdicts meaningless, by lot: (shared,
            an int64 [2] seed) -> shared.
        dies: of an update whose loss is never negative: what to do when it stays at zero, for then
            it teaches nothing; empty where zero is no reason to stop.
    """

    name: str
    trains: Mapping[str, str]
    terms: tuple[Term, ...]
    forward: Callable[[Networks, Batch], Any]
    observes: Mapping[str, Value] = field(default_factory=dict)
    ascends: frozenset[str] = frozenset()
    minibatch: int = 0
    by: str = ""
    looks: str = ""
    shuffle: Callable[[Any, tf.Tensor], Any] | None = None
    dies: str = ""

    def __str__(self) -> str:
        return f"{self.by} {' + '.join(map(str, self.terms))}"

    def outcome(self, networks: Networks, batch: Batch) -> Outcome:
        return self.outcome_of(Scene(networks, batch, self.forward(networks, batch)))

    def outcome_of(self, scene: Scene) -> Outcome:
        return Outcome(
            {term.name: term.weight * term.value(scene) for term in self.terms},
            {name: value(scene) for name, value in self.observes.items()},
        )


@dataclass(frozen=True)
class Players:
    """Networks (the first is the segmentor), optimizers by name, and the updates of one step.

    Attributes:
        least_minibatches: a step reads as many, even if no update takes the last of them.
    """

    networks: Networks
    optimizers: Mapping[str, keras.optimizers.Optimizer]
    schedule: Sequence[Update]
    least_minibatches: int = 1

    @property
    def minibatches(self) -> int:
        """Different minibatches in one step."""
        taken = 1 + max(update.minibatch for update in self.schedule)
        return max(taken, self.least_minibatches)
