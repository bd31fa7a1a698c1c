"""The leaky ReLU against Keras', and the graph optimizer that must not fail on it."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.networks.leaky_relu import LeakyReLU

# The gradient of a discriminator, in a process of its own: what TensorFlow says of it goes to the
# standard error.
OPTIMIZED = """
import sys
import keras, tensorflow as tf
from tfadv.networks import kohl

if sys.argv[1] == "keras":
    kohl.LeakyReLU = keras.layers.LeakyReLU
model = kohl.discriminator(1, 2, width=4, poolings=1)

@tf.function
def gradient(*pair):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(pair, training=True))
    return tape.gradient(loss, model.trainable_variables)

gradient(tf.ones([2, 32, 32, 1]), tf.ones([2, 32, 32, 2]))
"""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_values_and_gradients_are_keras(dtype: str) -> None:
    values = np.random.default_rng(0).normal(size=(3, 5, 4)) * [1, 1e-3, 1e-7, 0]
    x = tf.constant(values, dtype)
    ours, theirs = (of(0.2, dtype=dtype) for of in (LeakyReLU, keras.layers.LeakyReLU))
    for layer in (ours, theirs):
        layer.build(x.shape)
    seen = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y * y)
        seen.append((y, tape.gradient(loss, x)))
    for one, other in zip(*seen, strict=True):
        assert one.dtype == other.dtype == dtype
        np.testing.assert_array_equal(tf.cast(one, tf.float32), tf.cast(other, tf.float32))


@pytest.mark.slow
def test_the_graph_optimizer_does_not_fail() -> None:
    said = {
        whose: subprocess.run(
            [sys.executable, "-c", OPTIMIZED, whose], capture_output=True, text=True, check=True
        ).stderr
        for whose in ("ours", "keras")
    }
    assert "remapper failed" not in said["ours"]
    assert "remapper failed" in said["keras"]  # Else this layer is no longer needed.
