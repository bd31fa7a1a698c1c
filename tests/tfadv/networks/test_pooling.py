"""Maximum pooling against Keras' values, and its gradient against a closed form."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.networks.pooling import MaxPooling3D

Gradient = Callable[[tf.Tensor], tf.Tensor]


def gradient(x: tf.Tensor) -> tf.Tensor:
    """Of the sum of the pooled voxels."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        pooled = MaxPooling3D(dtype=x.dtype)(x)
    return tf.cast(tape.gradient(pooled, x), tf.float32)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("found", [gradient, tf.function(gradient)], ids=["eager", "graph"])
def test_of_equal_voxels_the_first_has_the_whole_gradient(found: Gradient, dtype: str) -> None:
    """Keras' layer gives, eagerly on a CPU, a gradient of one to all eight."""
    x = tf.ones([2, 4, 6, 2, 3], dtype)
    expected = np.zeros(x.shape)
    expected[:, ::2, ::2, ::2] = 1
    np.testing.assert_array_equal(found(x), expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_and_winners_with_many_ties(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 3, (2, 4, 6, 8, 5))
    x = tf.constant(values, dtype)
    np.testing.assert_array_equal(
        tf.cast(MaxPooling3D(dtype=dtype)(x), tf.float32),
        tf.cast(keras.layers.MaxPooling3D(dtype=dtype)(x), tf.float32),
    )
    expected = np.zeros(values.shape)
    for b, z, y, x_, c in np.ndindex(2, 2, 3, 4, 5):
        window = values[b, 2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x_ : 2 * x_ + 2, c]
        dz, dy, dx = np.unravel_index(np.argmax(window), (2, 2, 2))  # The first of the largest.
        expected[b, 2 * z + dz, 2 * y + dy, 2 * x_ + dx, c] = 1
    np.testing.assert_array_equal(gradient(x), expected)


def test_unknown_extents_halve() -> None:
    image = keras.Input((None, 6, None, 2))
    network = keras.Model(image, MaxPooling3D()(image))
    assert network.output_shape == (None, None, 3, None, 2)
    assert tf.function(network)(tf.ones([1, 4, 6, 8, 2])).shape == (1, 2, 3, 4, 2)
