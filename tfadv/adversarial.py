"""The keras.Model that trains several networks against each other, on any schedule of updates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import tensorflow as tf

Batch = dict[str, tf.Tensor]
Networks = Mapping[str, keras.Model]


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
    shuffle: Callable[[Any, tf.Tensor], Any] | None = None
    dies: str = ""

    def __str__(self) -> str:
        return f"{self.by} {' + '.join(map(str, self.terms))}"

    def outcome(self, networks: Networks, batch: Batch) -> Outcome:
        scene = Scene(networks, batch, self.forward(networks, batch))
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


class AdversarialModel(keras.Model):
    """Performs a schedule of updates in every training step.

    Build the players and this model in the strategy's scope. `fit` takes batches
    {"image": [B, H, W, C], "label": [B, H, W]} with B a multiple of `players.minibatches`.
    """

    def __init__(self, players: Players) -> None:
        super().__init__(name="adversarial_model")
        self.players = players
        # As attributes of their own, Keras saves networks and optimizers with the weights.
        self.network_list = list(players.networks.values())
        self.optimizer_list = list(players.optimizers.values())
        self.trackers = {name: keras.metrics.Mean(name=name) for name in _tracker_names(players)}
        self.built = True  # Its networks are; `fit` must not call it on a training batch.

    @property
    def segmentor(self) -> keras.Model:
        return self.network_list[0]

    @property
    def saved_variables(self) -> list[keras.Variable]:
        """What `save_weights` writes: those of networks and of optimizers."""
        return [*self.variables, *(v for o in self.optimizer_list for v in o.variables)]

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The segmentor's logits."""
        return self.segmentor(image, training=training)

    def compile(self, **kwargs: Any) -> None:
        """Builds every optimizer for its network; a lazily built one would be lost at resuming."""
        super().compile(optimizer=self.optimizer_list[0], jit_compile=False, **kwargs)
        for name, network in _owners(self.players).items():
            variables = self.players.networks[network].trainable_variables
            self.players.optimizers[name].build(variables)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: all is built. What Keras does with a first batch, it cannot across workers."""

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.trackers.values())

    @tf.autograph.experimental.do_not_convert  # Nothing here branches on a tensor: traces sooner.
    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        minibatches = self._split(batch)
        for update in self.players.schedule:
            self._perform(update, minibatches[update.minibatch])
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _split(self, batch: Batch) -> list[Batch]:
        """The replica's batch as equal minibatches."""
        parts = {name: tf.split(tensor, self.players.minibatches) for name, tensor in batch.items()}
        return [
            {name: parts[name][number] for name in batch}
            for number in range(self.players.minibatches)
        ]

    def _perform(self, update: Update, batch: Batch) -> None:
        """One gradient step of the networks in `update.trains`; the others stay as they are."""
        networks = self.players.networks
        variables = {name: networks[name].trainable_variables for name in update.trains}
        watched = {name: [v.value for v in own] for name, own in variables.items()}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            outcome = update.outcome(networks, batch)
            # `apply` sums over replicas: here, and nowhere else, the sum becomes a mean.
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            loss = tf.add_n(list(outcome.terms.values())) / replicas
        gradients = tape.gradient(loss, watched)
        for network, optimizer in update.trains.items():
            norm = tf.linalg.global_norm(gradients[network]) * replicas
            self.trackers[f"{optimizer}_gradient_norm"].update_state(norm)
            sign = -1.0 if network in update.ascends else 1.0
            directed = [sign * gradient for gradient in gradients[network]]
            self.players.optimizers[optimizer].apply(directed, variables[network])
        for name, value in {**outcome.terms, **outcome.observed}.items():
            self.trackers[name].update_state(value)


def _tracker_names(players: Players) -> list[str]:
    names = [
        name
        for update in players.schedule
        for name in (
            *(term.name for term in update.terms),
            *update.observes,
            *(f"{optimizer}_gradient_norm" for optimizer in update.trains.values()),
        )
    ]
    return list(dict.fromkeys(names))


def _owners(players: Players) -> dict[str, str]:
    """The network that each optimizer serves."""
    owners: dict[str, str] = {}
    for update in players.schedule:
        for network, optimizer in update.trains.items():
            if owners.setdefault(optimizer, network) != network:
                raise ValueError(
                    "optimizer: expected one network each. "
                    f"Received: {optimizer} for {owners[optimizer]} and {network}"
                )
    return owners
