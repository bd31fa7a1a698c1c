"""What a judge, discriminator or critic, says of true and of generated label maps."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfadv.adversarial import Value
from tfadv.losses.annotated import annotated_mean

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


def observed(
    judge: str, probability: Callable[[tf.Tensor], tf.Tensor] = tf.sigmoid
) -> dict[str, Value]:
    """What to log of an update whose pass gives Verdicts: how likely the judge holds maps for true.

    Args:
        probability: of true, from logits.
    """

    def mean(logits: tf.Tensor, verdicts: Verdicts) -> tf.Tensor:
        return annotated_mean(probability(logits), verdicts.annotated)

    return {
        f"{judge}{TRUE}": lambda scene: mean(scene.shared.true, scene.shared),
        f"{judge}{GENERATED}": lambda scene: mean(scene.shared.generated, scene.shared),
    }
