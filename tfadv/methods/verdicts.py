"""What a judge, discriminator or critic, says of true and of generated label maps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from tfadv.losses.annotated import annotated_mean
from tfadv.players import Scene, Value

# Ends of the names under which judges' probabilities are logged.
TRUE, GENERATED = "_true", "_generated"


class Verdicts(NamedTuple):
    """A judge's logits of a minibatch's true and generated maps, of one shape [B, ...].

    Attributes:
        annotated: of that shape, 0 where they count nothing; None where all count.
    """

    true: tf.Tensor
    generated: tf.Tensor
    annotated: tf.Tensor | None = None


def swapped(verdicts: Verdicts, seed: tf.Tensor) -> Verdicts:
    """Verdicts whose two kinds are exchanged in about half of the samples.

    A judge that learns from them is told by lot which map is true.

    Args:
        seed: int64 [2].
    """
    true, generated, annotated = verdicts
    shape = tf.concat([tf.shape(true)[:1], tf.ones(tf.rank(true) - 1, tf.int32)], 0)
    lots = tf.random.stateless_uniform(shape, seed) < 0.5
    return Verdicts(tf.where(lots, generated, true), tf.where(lots, true, generated), annotated)


@dataclass(frozen=True)
class Likelihood:
    """What to log of an update whose pass gives Verdicts: how likely the judge holds maps for true.

    Attributes:
        of: the kind of maps, TRUE or GENERATED.
        odds: log odds of true [B, ...], from logits.
    """

    judge: str
    of: str
    odds: Callable[[tf.Tensor], tf.Tensor]

    def __call__(self, scene: Scene) -> tf.Tensor:
        verdicts: Verdicts = scene.shared
        logits = verdicts.true if self.of == TRUE else verdicts.generated
        return annotated_mean(tf.sigmoid(self.odds(logits)), verdicts.annotated)

    def odds_of_each(self, verdicts: Verdicts) -> tuple[tf.Tensor, tf.Tensor]:
        """Log odds [B] of every true and of every generated map, means over their voxels."""
        true, generated = (
            annotated_mean(odds, verdicts.annotated, list(range(1, len(odds.shape))))
            for odds in map(self.odds, (verdicts.true, verdicts.generated))
        )
        return true, generated


def observed(judge: str, odds: Callable[[tf.Tensor], tf.Tensor] = tf.identity) -> dict[str, Value]:
    """Likelihoods of both kinds of maps, by the names under which they are logged."""
    return {f"{judge}{of}": Likelihood(judge, of, odds) for of in (TRUE, GENERATED)}
