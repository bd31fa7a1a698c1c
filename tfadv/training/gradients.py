"""What the terms of a schedule teach the segmentor on one minibatch, and what its judges say.

All gradients are of weighted terms, with the sign of the segmentor's step: what it descends. The
map is its answer before softmax or sigmoid. There the descent of cross entropy is the truth minus
the probabilities, whatever a method descends itself.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfadv.inference.targets import Targets
from tfadv.losses.annotated import annotated_mean
from tfadv.methods.controls import SEGMENTOR
from tfadv.methods.verdicts import Likelihood
from tfadv.players import Batch, Networks, Update

CROSS_ENTROPY = "cross entropy"  # No term's name: those have no blanks.
Odds = tuple[
    tf.Tensor, tf.Tensor
]  # Log odds [B] of true: of a minibatch's true and generated maps.


class Taught(NamedTuple):
    """A term's gradients.

    Attributes:
        weights: of the segmentor, flat.
        answer: at its map [B, ..., K]; zero where the term does not look at this map.
    """

    weights: tf.Tensor
    answer: tf.Tensor


class Map(NamedTuple):
    """The segmentor's answer on a minibatch, and the truth.

    Attributes:
        logits: [B, ..., K].
        truth: masks [B, ..., K].
        counts: [B, ..., K] or [B, ..., 1]; 0 where nobody annotated.
    """

    logits: tf.Tensor
    truth: tf.Tensor
    counts: tf.Tensor
    targets: Targets

    @classmethod
    def of(cls, logits: tf.Tensor, batch: Batch, targets: Targets) -> "Map":
        label = batch["label"]
        truth = tf.one_hot(label, logits.shape[-1]) if targets.exclusive else label
        counts = batch.get("annotated", tf.ones(tf.shape(logits)[:-1]))[..., None]
        return cls(logits, tf.cast(truth, tf.float32), tf.cast(counts, tf.float32), targets)

    @property
    def missing(self) -> tf.Tensor:
        """The truth minus the probabilities."""
        return (self.truth - self.targets.probabilities(self.logits)) * self.counts

    @property
    def doubt(self) -> tf.Tensor:
        """What is decided, the likeliest class or regions above 0.5, minus the probabilities."""
        return (self._decided - self.targets.probabilities(self.logits)) * self.counts

    @property
    def _decided(self) -> tf.Tensor:
        if self.targets.exclusive:
            return tf.one_hot(tf.argmax(self.logits, -1), self.logits.shape[-1])
        return tf.cast(self.logits > 0, tf.float32)

    def cross_entropy(self) -> tf.Tensor:
        """The mean over annotated voxels, and over regions, of which each has its own."""
        if self.targets.exclusive:
            losses = tf.nn.softmax_cross_entropy_with_logits(self.truth, self.logits)[..., None]
        else:
            losses = tf.nn.sigmoid_cross_entropy_with_logits(self.truth, self.logits)
        return annotated_mean(losses, tf.broadcast_to(self.counts, tf.shape(losses)))

    def towards_truth(self, gradient: tf.Tensor) -> tf.Tensor:
        """Of the wrong voxels that a step against the gradient moves, the share it moves rightly.

        Wrong: another class is the likeliest; of regions, each counts for itself, at 0.5. Rightly:
        the probability of the truth grows. nan where nothing wrong moves.
        """
        step = -gradient
        if self.targets.exclusive:
            right = tf.reduce_sum(self._decided * self.truth, -1, keepdims=True)
            # Of a softmax, the change of a probability, divided by it.
            mean = tf.reduce_sum(self.targets.probabilities(self.logits) * step, -1, keepdims=True)
            growth = tf.reduce_sum(self.truth * step, -1, keepdims=True) - mean
        else:
            right = tf.cast(self._decided == self.truth, tf.float32)
            growth = (2 * self.truth - 1) * step
        wrong = (1 - right) * self.counts
        moved = tf.reduce_sum(wrong * tf.cast(growth != 0, tf.float32))
        return tf.reduce_sum(wrong * tf.cast(growth > 0, tf.float32)) / moved


def teachers(schedule: Iterable[Update]) -> list[Update]:
    """The updates that move the segmentor."""
    return [update for update in schedule if SEGMENTOR in update.trains]


def readings(
    networks: Networks,
    schedule: Sequence[Update],
    batch: Batch,
    targets: Targets,
    before_each: Callable[[], None] = lambda: None,
    scale: tf.Tensor | float = 1.0,
) -> dict[str, tf.Tensor]:
    """Of every term that moves the segmentor, scalars named gradients/TERM/WHAT.

        norm            of the gradient of the weights
        map_norm        of the gradient at the map
        cosine          of the weights' gradient to that of the supervised term: the first that is
                        no verdict; where there is none, of the map's cross entropy
        map_cosine      of the step at the map to the truth minus the probabilities
        towards_truth   see `Map.towards_truth`
        surer           cosine of the step at the map to what is decided minus the probabilities:
                        1 where it only makes the map surer of what it says, right or wrong

    The supervised term itself has no cosine: it would be 1.

    Args:
        before_each: called before each update's pass, as to make all draw the same noise.
        scale: of the terms while they are differentiated, so that float16 makes nothing zero.
    """
    updates = teachers(schedule)
    supervised = next((t.name for update in updates for t in update.terms if not t.verdict), None)
    taught: dict[str, Taught] = {}
    maps: dict[str, Map] = {}
    for update in updates:
        before_each()
        found, seen = _taught(update, networks, batch, targets, supervised is None, scale)
        taught |= found
        maps |= dict.fromkeys(found, seen)
    reference = taught[supervised or CROSS_ENTROPY].weights
    read: dict[str, tf.Tensor] = {}
    for name in (term.name for update in updates for term in update.terms):
        weights, answer = taught[name]
        scalars = {
            "norm": tf.norm(weights),
            "map_norm": tf.norm(answer),
            "map_cosine": cosine(-answer, maps[name].missing),
            "towards_truth": maps[name].towards_truth(answer),
            "surer": cosine(-answer, maps[name].doubt),
        }
        if name != supervised:
            scalars["cosine"] = cosine(weights, reference)
        read |= {f"gradients/{name}/{what}": scalar for what, scalar in scalars.items()}
    return read


def _taught(
    update: Update,
    networks: Networks,
    batch: Batch,
    targets: Targets,
    entropy: bool,
    scale: tf.Tensor | float,
) -> tuple[dict[str, Taught], Map]:
    """What each term of an update teaches, and the map of its pass.

    Args:
        entropy: whether cross entropy is wanted beside them.
    """
    answers: list[tf.Tensor] = []

    def segmentor(image: tf.Tensor, **options: bool) -> tf.Tensor:
        answers.append(networks[SEGMENTOR](image, **options))
        return answers[-1]

    variables = [variable.value for variable in networks[SEGMENTOR].trainable_variables]
    watching: Any = {**networks, SEGMENTOR: segmentor}
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(variables)
        terms = dict(update.outcome(watching, batch).terms)
        # The pass that all terms share comes first.
        seen = Map.of(answers[0], batch, targets)
        if entropy:
            terms[CROSS_ENTROPY] = seen.cross_entropy()
        terms = {name: scale * term for name, term in terms.items()}

    def taught(name: str, term: tf.Tensor) -> Taught:
        *weights, answer = tape.gradient(
            term, [*variables, seen.logits], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        flat = tf.concat([tf.reshape(gradient, [-1]) for gradient in weights], 0) / scale
        answer /= scale
        climbs = SEGMENTOR in update.ascends and name != CROSS_ENTROPY
        return Taught(-flat, -answer) if climbs else Taught(flat, answer)

    return {name: taught(name, term) for name, term in terms.items()}, seen


def cosine(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """nan where either is zero."""
    return tf.reduce_sum(one * other) / (tf.norm(one) * tf.norm(other))


def judgements(networks: Networks, schedule: Iterable[Update], batch: Batch) -> dict[str, Odds]:
    """By judge, what it says of each map of a minibatch; of judges that give no verdicts, nothing.

    Args:
        schedule: updates of judges that are not among the networks are left out.
    """
    said: dict[str, Odds] = {}
    for update in schedule:
        for value in update.observes.values():
            if not isinstance(value, Likelihood) or update.trains.keys() - networks.keys():
                continue
            judge = value.judge
            if judge not in said:
                said[judge] = value.odds_of_each(update.forward(networks, batch))
    return said


def auc(true: np.ndarray, generated: np.ndarray) -> float:
    """The share of pairs in which the true map has the greater odds; ties count half."""
    difference = np.ravel(true)[:, None] - np.ravel(generated)
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))
