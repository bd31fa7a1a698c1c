"""Upsampling against SciPy's zoom, which aligns voxels' borders alike, and against Keras' layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy import ndimage

from tfadv.networks.upsampling import LinearUpsampling, NearestUpsampling


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 5), (1, 2, 3)])
def test_equals_zoom_of_order_1(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype(np.float32)
    factors = (1, *[2] * len(shape), 1)
    expected = ndimage.zoom(x, factors, order=1, mode="nearest", grid_mode=True)
    found = LinearUpsampling()(x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.shape == expected.shape


def test_unknown_extents_double_in_a_graph_and_keep_the_precision() -> None:
    image = keras.Input((None, 6, None, 2), dtype="bfloat16")
    network = keras.Model(image, LinearUpsampling(dtype="bfloat16")(image))
    assert network.output_shape == (None, None, 12, None, 2)
    found = tf.function(network)(tf.ones([1, 3, 6, 4, 2], tf.bfloat16))
    assert found.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(found, tf.float32), np.ones([1, 6, 12, 8, 2]))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 5), (1, 2, 3)])
def test_of_few_digits_it_is_the_same(shape: tuple[int, ...], dtype: str) -> None:
    """Values and gradients, as near as their digits allow, to those in float32."""
    random = np.random.default_rng(0)
    x, up = (
        tf.cast(random.uniform(-1, 1, (2, *(n * side for side in shape), 3)), dtype) for n in (1, 2)
    )
    found = []
    for name in (dtype, "float32"):
        given = tf.cast(x, name)
        with tf.GradientTape() as tape:
            tape.watch(given)
            y = LinearUpsampling(dtype=name)(given)
        gradient = tape.gradient(y, given, tf.cast(up, name))
        assert y.dtype == gradient.dtype == name
        found.append([tf.cast(tensor, tf.float32) for tensor in (y, gradient)])
    digit = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    for (ours, in_float32), largest in zip(zip(*found, strict=True), (1, 4), strict=True):
        # Each axis rounds once, by half a digit; a gradient is a sum of some.
        np.testing.assert_allclose(ours, in_float32, atol=largest * len(shape) * digit)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nearest_voxels_and_their_gradients_are_keras(dtype: str) -> None:
    random = np.random.default_rng(0)
    x, up = (tf.cast(random.normal(size=(2, *s, 3)), dtype) for s in ((5, 4), (10, 8)))

    def passed(layer: keras.Layer) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return [y, tape.gradient(y, x, up)]

    for one, other in zip(
        passed(NearestUpsampling(dtype=dtype)),
        passed(layers.UpSampling2D(dtype=dtype)),
        strict=True,
    ):
        assert one.dtype == other.dtype == x.dtype
        one, other = tf.cast(one, tf.float32), tf.cast(other, tf.float32)
        # A gradient is a sum of four.
        close = 1e-6 if dtype == "float32" else 2**-7
        np.testing.assert_allclose(one, other, rtol=close, atol=close)


def test_nearest_voxels_of_unknown_extents() -> None:
    image = keras.Input((None, 6, 2))
    network = keras.Model(image, NearestUpsampling()(image))
    assert network.output_shape == (None, None, 12, 2)
    assert tf.function(network)(tf.ones([1, 3, 6, 2])).shape == (1, 6, 12, 2)
