"""N replicas equal one, for every named method."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tfadv.methods.conforming import (
    CHANNELS,
    OF_EACH_PAPER,
    OUTPUTS,
    batch_for,
    random_layers,
    same,
    slow_except,
    tiny,
    weights,
    without_noise,
)
from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.methods.method import Method
from tfadv.players import Players

GRAPHS = ("kohl_hybrid", "moeskops_fcn_adversarial", "segan_s3_3c")

pytestmark = pytest.mark.usefixtures("seeded")


@slow_except({"kohl_hybrid"})
def test_two_replicas_equal_one(method: type[Method], mirrored: tf.distribute.Strategy) -> None:
    """With SGD, since Adam would hide gradients of another scale (three steps)."""
    one = _trained_weights(method, tf.distribute.get_strategy())
    two = _trained_weights(method, mirrored)
    for name, values in one.items():
        for single, mirrored in zip(values, two[name], strict=True):
            np.testing.assert_allclose(single, mirrored, rtol=0, atol=2e-6)


@slow_except((), standing={"kohl_hybrid"})
def test_two_replicas_train_with_noise(
    method: type[Method], mirrored: tf.distribute.Strategy
) -> None:
    """In a graph, as `fit` has it, for a method of each paper; the others sooner, without."""
    with mirrored.scope():
        players = tiny(method).players(CHANNELS, OUTPUTS)
        model = AdversarialModel(players)
        model.compile()
    if not any(random_layers(network) for network in players.networks.values()):
        pytest.skip("draws nothing: the test without noise is the same")
    if method.name in OF_EACH_PAPER:
        model.fit(_repeated(method, players, replicas=2), verbose=0, shuffle=False)
    else:
        batch = batch_for(tiny(method), players)
        for _ in range(3):
            mirrored.run(model.train_step, (batch,))
    assert all(np.isfinite(float(tracker.result())) for tracker in model.metrics)


@slow_except((), {n: methods.get(n) for n in GRAPHS}, standing={"kohl_hybrid"})
def test_a_graph_of_two_replicas_does_what_that_of_one_does(
    method: type[Method], mirrored: tf.distribute.Strategy
) -> None:
    """`fit` traces the step that the tests above take without a graph.

    One step: graphs round otherwise, and gradients as large as these make more of it each time.
    """
    one = _trained_weights(method, tf.distribute.get_strategy(), steps=1, fit=True)
    two = _trained_weights(method, mirrored, steps=1, fit=True)
    for player, values in one.items():
        for single, mirrored in zip(values, two[player], strict=True):
            np.testing.assert_allclose(single, mirrored, rtol=0, atol=2e-5)


def _repeated(
    method: type[Method], players: Players, replicas: int, steps: int = 3
) -> tf.data.Dataset:
    """Equal batches."""
    batch = batch_for(tiny(method), players, replicas)
    count = batch["label"].shape[0]
    return tf.data.Dataset.from_tensor_slices(batch).repeat(steps).batch(count, drop_remainder=True)


def _trained_weights(
    method: type[Method], strategy: tf.distribute.Strategy, steps: int = 3, *, fit: bool = False
) -> dict[str, list[np.ndarray]]:
    keras.utils.set_random_seed(1)
    with strategy.scope():
        players = without_noise(tiny(method).players(CHANNELS, OUTPUTS))
        rates = {name: keras.optimizers.SGD(1e-2) for name in players.optimizers}
        model = AdversarialModel(replace(players, optimizers=rates))
        model.compile()
    start = {name: weights(network) for name, network in players.networks.items()}
    if fit:
        model.fit(
            _repeated(method, players, strategy.num_replicas_in_sync, steps),
            verbose=0,
            shuffle=False,
        )
    else:  # Without a graph, whose tracing takes many times as long.
        batch = batch_for(tiny(method), players)
        for _ in range(steps):
            strategy.run(model.train_step, (batch,))
    end = {name: weights(network) for name, network in players.networks.items()}
    assert not any(same(start[name], end[name]) for name in start)
    return end
