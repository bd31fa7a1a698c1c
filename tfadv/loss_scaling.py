"""Loss scaling of several players for float16, whose numbers below 6e-8 are zero.

Every optimizer is Keras' LossScaleOptimizer: a scale of its own, halved and the update left out
where a gradient is not finite, doubled after 2000 updates. What it leaves to others stands here:

- A pass may move several players: its loss has one scale, the least of theirs, and each is handed
  its gradient times its own. Scales are powers of two, so that this rounds nothing.
- With several replicas it asks the first one alone whether gradients are finite: where those of any
  are not, all are told.
"""

from collections.abc import Iterable, Mapping, Sequence

import keras
import tensorflow as tf
from keras.optimizers import LossScaleOptimizer, Optimizer


def scaled(optimizers: Mapping[str, Optimizer]) -> dict[str, Optimizer]:
    """Each in a LossScaleOptimizer, which has its learning rate and counts its steps."""
    return {name: LossScaleOptimizer(optimizer) for name, optimizer in optimizers.items()}


def scales(optimizers: Mapping[str, Optimizer]) -> dict[str, keras.Variable]:
    """By name of the optimizer; of those that do not scale, none."""
    return {
        name: optimizer.dynamic_scale
        for name, optimizer in optimizers.items()
        if isinstance(optimizer, LossScaleOptimizer)
    }


def inner(optimizers: Iterable[Optimizer]) -> list[Optimizer]:
    """What LossScaleOptimizers wrap."""
    return [one.inner_optimizer for one in optimizers if isinstance(one, LossScaleOptimizer)]


def scale_of_pass(optimizers: Iterable[Optimizer]) -> tf.Tensor | None:
    """What the loss of a pass that serves all of these is multiplied by; None where none scales."""
    found = [one.dynamic_scale.value for one in optimizers if isinstance(one, LossScaleOptimizer)]
    return tf.reduce_min(tf.stack(found)) if found else None


def all_finite(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Whether a player's gradients are finite, on all replicas; a scalar."""
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(one)) for one in gradients])
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return finite
    faulty = tf.cast(tf.logical_not(finite), tf.float32)
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, faulty) == 0


def handed(
    gradients: Sequence[tf.Tensor], finite: tf.Tensor, optimizer: Optimizer, scale: tf.Tensor
) -> list[tf.Tensor]:
    """A pass' gradients as its LossScaleOptimizer wants them: NaN on all replicas if not `finite`.

    Args:
        scale: of the pass' loss.
    """
    factor = tf.where(finite, optimizer.dynamic_scale.value / scale, float("nan"))
    return [factor * gradient for gradient in gradients]
