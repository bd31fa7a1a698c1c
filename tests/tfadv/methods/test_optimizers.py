"""Optimizers against the rules of the papers' frameworks."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.methods.optimizers import Adam, RMSprop, torch_rmsprop

# What Keras has, ours, what both are made with, and how close they stay: Adam's operation takes
# 1 - 0.999 in float32, which is less by 1.3e-5.
ALIKE = pytest.mark.parametrize(
    ("theirs", "ours", "values", "close"),
    [
        (keras.optimizers.Adam, Adam, {"beta_1": 0.5}, 3e-5),
        (keras.optimizers.RMSprop, RMSprop, {"rho": 0.9}, 1e-6),
    ],
    ids=["Adam", "RMSprop"],
)


@pytest.mark.parametrize("compiled", [False, True])
@ALIKE
def test_a_rule_is_keras_over_many_steps(
    theirs: Any, ours: Any, values: dict[str, float], close: float, compiled: bool
) -> None:
    """And holds the same variables, so that checkpoints are alike."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4)).astype(np.float32)
    weights, optimizers = [], []
    for kind in (theirs, ours):
        weight, optimizer = keras.Variable(start, name="w"), kind(1e-2, **values)
        optimizer.build([weight])
        weights.append(weight)
        optimizers.append(optimizer)
    for scale in 10.0 ** np.arange(-8, 4):
        gradient = tf.constant(scale * rng.normal(size=(3, 4)), tf.float32)
        for weight, optimizer in zip(weights, optimizers, strict=True):
            if compiled:
                tf.function(lambda: optimizer.apply([gradient], [weight]), autograph=False)()  # noqa: B023
            else:
                optimizer.apply([gradient], [weight])
    keras_own, fused = ([v.numpy() for v in optimizer.variables] for optimizer in optimizers)
    assert [v.name for v in optimizers[0].variables] == [v.name for v in optimizers[1].variables]
    for a, b in zip([weights[0].numpy(), *keras_own], [weights[1].numpy(), *fused], strict=True):
        np.testing.assert_allclose(b, a, rtol=close, atol=1e-6)
    assert not np.array_equal(weights[1].numpy(), start)


@pytest.mark.parametrize("kind", [Adam, RMSprop])
def test_two_replicas_do_what_one_does(mirrored: tf.distribute.Strategy, kind: Any) -> None:
    """Each gives half of the gradient; the rate is every replica's own tensor."""
    gradients = tf.constant(np.random.default_rng(0).normal(size=(5, 3)), tf.float32)
    weights = []
    for strategy in (tf.distribute.get_strategy(), mirrored):
        with strategy.scope():
            weight, optimizer = keras.Variable([1.0, 2.0, 3.0]), kind(1e-2)
            optimizer.build([weight])

        def step(gradient: tf.Tensor, optimizer: Any = optimizer, weight: Any = weight) -> None:
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            optimizer.apply([gradient / replicas], [weight])

        for gradient in gradients:
            tf.function(strategy.run, autograph=False)(step, (gradient,))
        weights.append(weight.numpy())
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], [1.0, 2.0, 3.0])


def test_torch_rmsprop_divides_by_the_root_of_tiny_squares() -> None:
    """Torch's rule: rate * g / (sqrt(0.01 g^2) + 1e-8). Keras' defaults move a thousandth of it."""
    weight = keras.Variable([0.0])
    optimizer = torch_rmsprop(1e-3)
    optimizer.build([weight])
    optimizer.apply([tf.constant([1e-6])], [weight])
    np.testing.assert_allclose(weight.numpy(), -1e-3 * 1e-6 / (1e-7 + 1e-8), rtol=0.1)


def test_torch_rmsprop_is_pytorchs_over_many_steps() -> None:
    """v = 0.99 v + 0.01 g^2, then w -= rate * g / (sqrt(v) + 1e-8), from v = 0.

    Keras' epsilon stands within the root: below gradients of 1e-5 the two differ by some percents.
    """
    gradients = np.random.default_rng(0).uniform(1, 5, 14) * 10.0 ** np.arange(-4, 10)
    weight = keras.Variable([0.0])
    optimizer = torch_rmsprop(1e-3)
    optimizer.build([weight])
    expected, square = 0.0, 0.0
    for gradient in gradients:
        optimizer.apply([tf.constant([gradient], tf.float32)], [weight])
        square = 0.99 * square + 0.01 * gradient**2
        expected -= 1e-3 * gradient / (square**0.5 + 1e-8)
        np.testing.assert_allclose(weight.numpy()[0], expected, rtol=1e-2)
