"""Gradients through tiles: of a linear network in closed form, and as an eager tape finds them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.inference.tiling import SlidingWindow, Tiling, WholeSlices, WholeVolume
from tfadv.inference.tiling_gradient import gradient

SHAPE = (5, 9, 7)
WEIGHTS = np.float32([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])  # [C, K]


def backward_of(network: keras.Model, windows: tf.Tensor, of_maps: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(windows)
        maps = network(windows)
    return tape.gradient(maps, windows, of_maps)


def random(*shape: int) -> tf.Tensor:
    return tf.random.stateless_normal(shape, [shape[-1], 1])


@pytest.mark.parametrize(
    "tiling",
    [WholeSlices(0), WholeVolume(4), SlidingWindow((4, 6)), SlidingWindow((4, 4, 6))],
    ids=str,
)
def test_a_pointwise_linear_network_passes_its_weights_back(tiling: Tiling) -> None:
    """Wherever windows overlap: the weights of their blend add up to 1."""

    def backward(windows: tf.Tensor, of_maps: tf.Tensor) -> tf.Tensor:
        return tf.einsum("...k,ck->...c", of_maps, WEIGHTS)

    image, of_maps = random(*SHAPE, 2), random(*SHAPE, 3)
    found = gradient(tiling, backward, image, of_maps)
    np.testing.assert_allclose(found, of_maps.numpy() @ WEIGHTS.T, atol=1e-5)


@pytest.mark.parametrize(
    ("tiling", "padding"),
    [
        (WholeSlices(2), "valid"),
        (WholeVolume(4), "same"),
        (SlidingWindow((4, 6)), "same"),
        (SlidingWindow((16, 6)), "same"),
        (SlidingWindow((4, 4, 6)), "same"),
    ],
    ids=str,
)
def test_windows_of_a_network_that_sees_neighbours_pass_back_what_a_tape_does(
    tiling: Tiling, padding: str
) -> None:
    slices = tiling.axes == (1, 2)
    layer = keras.layers.Conv2D if slices else keras.layers.Conv3D
    source = keras.Input((*(None,) * (2 if slices else 3), 2))
    hidden = layer(4, 3, padding=padding, activation="tanh")(source)
    network = keras.Model(source, layer(3, 3, padding=padding)(hidden))
    image, of_maps = random(*SHAPE, 2), random(*SHAPE, 3)
    with tf.GradientTape() as tape:
        tape.watch(image)
        loss = tf.reduce_sum(tiling.apply(network, image, 3) * of_maps)
    expected = tape.gradient(loss, image)

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, n]) for n in (2, 3)], autograph=False
    )
    def found(image: tf.Tensor, of_maps: tf.Tensor) -> tf.Tensor:
        return gradient(tiling, lambda *some: backward_of(network, *some), image, of_maps)

    np.testing.assert_allclose(found(image, of_maps), expected, atol=1e-5)
    assert np.abs(expected).max() > 0.1
