"""What a judge, discriminator or critic, says of true and of generated label maps."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfadv.adversarial import Value

# Ends of the names under which judges' probabilities are logged.
TRUE, GENERATED = "_true", "_generated"


class Verdicts(NamedTuple):
    """A judge's logits of a minibatch's true and generated maps, of one shape [B, ...]."""

    true: tf.Tensor
    generated: tf.Tensor


def swapped(verdicts: Verdicts, seed: tf.Tensor) -> Verdicts:
    """Verdicts whose two kinds are exchanged in about half of the samples.

    A judge that learns from them is told by lot which map is true.

    Args:
        seed: int64 [2].
    """
    true, generated = verdicts
    shape = tf.concat([tf.shape(true)[:1], tf.ones(tf.rank(true) - 1, tf.int32)], 0)
    lots = tf.random.stateless_uniform(shape, seed) < 0.5
    return Verdicts(tf.where(lots, generated, true), tf.where(lots, true, generated))


def observed(
    judge: str, probability: Callable[[tf.Tensor], tf.Tensor] = tf.sigmoid
) -> dict[str, Value]:
    """What to log of an update whose pass gives Verdicts: how likely the judge holds maps for true.

    Args:
        probability: of true, from logits.
    """
    return {
        f"{judge}{TRUE}": lambda scene: tf.reduce_mean(probability(scene.shared.true)),
        f"{judge}{GENERATED}": lambda scene: tf.reduce_mean(probability(scene.shared.generated)),
    }
