"""The keras.Model that trains several networks against each other, on any schedule of updates."""

from dataclasses import replace
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfadv.loss_scaling import all_finite, handed, inner, scale_of_pass, scaled
from tfadv.players import LOOKED, Batch, Players, Scene, Update


class _Pass(NamedTuple):
    """An update's pass, and the tape that goes on to record what its terms make of it."""

    tape: tf.GradientTape
    shared: Any


class AdversarialModel(keras.Model):
    """Performs a schedule of updates in every training step.

    Build the players and this model in the strategy's scope. `fit` takes batches
    {"image": [B, H, W, C], "label": [B, H, W]} with B a multiple of `players.minibatches`.

    Args:
        parts: of every minibatch, equally large. They pass one after another, and their gradients'
            mean is what moves a player: where losses are means over samples that know nothing of
            each other, it is that of the whole minibatch, for the memory of one part.
    """

    def __init__(self, players: Players, parts: int = 1) -> None:
        super().__init__(name="adversarial_model")
        self.parts = parts
        if self.compute_dtype == "float16":
            players = replace(players, optimizers=scaled(players.optimizers))
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
        """What `save_weights` writes: those of networks and of optimizers.

        Of an optimizer that another one wraps to scale losses twice: Keras writes both.
        """
        optimizers = [*self.optimizer_list, *inner(self.optimizer_list)]
        return [*self.variables, *(v for o in optimizers for v in o.variables)]

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The segmentor's logits."""
        return self.segmentor(image, training=training)

    def compile(self, **kwargs: Any) -> None:
        """Builds every optimizer for its network; a lazily built one would be lost at resuming."""
        first = self.optimizer_list[0]
        super().compile(optimizer=first, jit_compile=False, auto_scale_loss=False, **kwargs)
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
        updates = {update.name: update for update in self.players.schedule}
        begun: dict[str, _Pass] = {}
        for update in self.players.schedule:
            minibatch = minibatches[update.minibatch]
            # In parts, the layers of all of them would have to be held.
            if self.parts == 1 and update.looks in updates:
                made = begun[update.looks] = self._begin(updates[update.looks], minibatch)
                minibatch = minibatch | {LOOKED: tf.stop_gradient(made.shared)}
            self._perform(update, minibatch, begun.get(update.name))
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _split(self, batch: Batch) -> list[Batch]:
        """The replica's batch as equal minibatches."""
        return _equal_parts(batch, self.players.minibatches)

    def _perform(self, update: Update, batch: Batch, begun: _Pass | None = None) -> None:
        """One gradient step of the networks in `update.trains`; the others stay as they are."""
        networks, optimizers = self.players.networks, self.players.optimizers
        variables = {name: networks[name].trainable_variables for name in update.trains}
        scale = scale_of_pass(optimizers[name] for name in update.trains.values())
        gradients: dict[str, list[tf.Tensor]] = {}
        for part in _equal_parts(batch, self.parts):
            # One after another, so that memory holds one part's layers.
            with tf.control_dependencies(tf.nest.flatten(gradients)):
                waiting = {name: tf.identity(tensor) for name, tensor in part.items()}
            found = self._gradients(update, waiting, scale, begun)
            gradients = tf.nest.map_structure(tf.add, gradients, found) if gradients else found
        for network, optimizer in update.trains.items():
            directed = gradients[network]
            if network in update.ascends:
                directed = [-gradient for gradient in directed]
            self._move(optimizer, directed, variables[network], scale)

    def _watched(self, update: Update) -> dict[str, list[tf.Variable]]:
        networks = self.players.networks
        return {n: [v.value for v in networks[n].trainable_variables] for n in update.trains}

    def _begin(self, update: Update, batch: Batch) -> _Pass:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._watched(update))
            return _Pass(tape, update.forward(self.players.networks, batch))

    def _gradients(
        self, update: Update, batch: Batch, scale: tf.Tensor | None, begun: _Pass | None
    ) -> dict[str, list[tf.Tensor]]:
        """A part's share of those of an update's loss, by network; times the scale, if any."""
        tape, shared = begun or self._begin(update, batch)
        with tape:
            outcome = update.outcome_of(Scene(self.players.networks, batch, shared))
            # `apply` sums over replicas: here, and nowhere else, the sum becomes a mean.
            loss = tf.add_n(list(outcome.terms.values())) / (_replicas() * self.parts)
            if scale is not None:
                loss *= scale
        for name, value in {**outcome.terms, **outcome.observed}.items():
            self.trackers[name].update_state(value)
        return tape.gradient(loss, self._watched(update))

    def _move(
        self,
        name: str,
        gradients: list[tf.Tensor],
        variables: list[keras.Variable],
        scale: tf.Tensor | None,
    ) -> None:
        """One step of an optimizer; none where it scales and the gradients are not finite."""
        optimizer, tracker = self.players.optimizers[name], self.trackers[f"{name}_gradient_norm"]
        norm = tf.linalg.global_norm(gradients) * _replicas()
        if scale is None:
            tracker.update_state(norm)
        else:
            finite = all_finite(gradients)
            # Steps that are left out have no norm.
            tracker.update_state(tf.where(finite, norm / scale, 0.0), tf.cast(finite, tf.float32))
            gradients = handed(gradients, finite, optimizer, scale)
        optimizer.apply(gradients, variables)


def _equal_parts(batch: Batch, count: int) -> list[Batch]:
    split = {name: tf.split(tensor, count) for name, tensor in batch.items()}
    return [{name: split[name][number] for name in batch} for number in range(count)]


def _replicas() -> int:
    return tf.distribute.get_strategy().num_replicas_in_sync


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
