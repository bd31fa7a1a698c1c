"""Dilated convolutions, and their gradients, against sums over taps in NumPy."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.networks import convolution
from tfadv.networks.convolution import Conv2D, dilated_gradient_exists

SHAPE = (2, 37, 40, 3)
KERNELS = 4


def by_hand(
    x: np.ndarray, kernel: np.ndarray, up: np.ndarray, dilation: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The convolution, and the gradients that `up` of it makes, in float64."""
    y, dx, dkernel = np.zeros(up.shape), np.zeros(x.shape), np.zeros(kernel.shape)
    height, width = up.shape[1:3]
    for i, j in np.ndindex(3, 3):
        seen = np.s_[:, i * dilation : i * dilation + height, j * dilation : j * dilation + width]
        y += x[seen] @ kernel[i, j]
        dx[seen] += up @ kernel[i, j].T
        dkernel[i, j] = np.einsum("byxc,byxk->ck", x[seen], up)
    return y, dx, dkernel


def rounded(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Values that a bfloat16 holds."""
    return tf.cast(tf.cast(random.normal(size=shape), tf.bfloat16), tf.float64).numpy()


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("dilation", [1, 2, 16])
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_values_and_gradients(
    dilation: int, dtype: str, graph: bool, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if native and not dilated_gradient_exists(tf.as_dtype(dtype)):
        pytest.skip("no gradient of dilated convolutions without oneDNN")
    monkeypatch.setattr(convolution, "dilated_gradient_exists", lambda _: native)
    random = np.random.default_rng(0)
    layer = Conv2D(KERNELS, 3, dilation_rate=dilation, use_bias=False, dtype=dtype)
    layer.build(SHAPE)
    values, kernel = rounded(random, SHAPE), rounded(random, (3, 3, SHAPE[-1], KERNELS))
    layer.kernel.assign(kernel)
    x = tf.cast(values, dtype)
    above = rounded(random, tuple(layer.compute_output_shape(SHAPE)))
    up = tf.cast(above, dtype)

    def found() -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return (y, *tape.gradient(y, [x, layer.kernel.value], up))

    # Sums in float32, of which a bfloat16 keeps eight binary digits. Without oneDNN float16
    # is summed in itself.
    tolerance = {"float32": 1e-5, "bfloat16": 2**-7, "float16": 2**-7}[dtype]
    results = tf.function(found)() if graph else found()
    for one, other in zip(results, by_hand(values, kernel, above, dilation), strict=True):
        scale = tolerance * np.abs(other).max()
        np.testing.assert_allclose(tf.cast(one, tf.float64), other, rtol=tolerance, atol=scale)


def test_dilated_images_are_cut_up_only_where_nothing_else_has_a_gradient() -> None:
    layer = Conv2D(KERNELS, 3, dilation_rate=2)

    @tf.function
    def convolved(x: tf.Tensor) -> tf.Tensor:
        return layer(x)

    graph = convolved.get_concrete_function(tf.TensorSpec(SHAPE)).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert ("SpaceToBatchND" in kinds) != dilated_gradient_exists(tf.float32)


def test_weights_are_named_as_keras_does() -> None:
    assert Conv2D(1, 3).name.startswith("conv2d")
    more = Conv2D(1, 3).get_config().keys() - keras.layers.Conv2D(1, 3).get_config().keys()
    assert more == {"gradient_dtype"}


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_float32_with_gradients_in_bfloat16(graph: bool) -> None:
    random = np.random.default_rng(0)
    exact, layer = (
        Conv2D(KERNELS, 3, strides=2, padding="same", gradient_dtype=dtype)
        for dtype in (None, "bfloat16")
    )
    assert Conv2D.from_config(layer.get_config()).gradient_dtype == "bfloat16"
    for one in (exact, layer):
        one.build(SHAPE)
    layer.set_weights(exact.get_weights())
    x = tf.constant(random.normal(size=SHAPE), tf.float32)
    up = tf.constant(random.normal(size=exact.compute_output_shape(SHAPE)), tf.float32)

    def found(layer: Conv2D) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return (y, *tape.gradient(y, [x, layer.kernel.value, layer.bias.value], up))

    (y, *gradients), (other_y, *others) = (
        tf.function(found)(one) if graph else found(one) for one in (exact, layer)
    )
    np.testing.assert_array_equal(y, other_y)
    for gradient, other in zip(gradients, others, strict=True):
        scale = np.abs(gradient).max() * 2**-7
        np.testing.assert_allclose(gradient, other, atol=scale)
    for gradient in others[:2]:  # Few digits.
        np.testing.assert_array_equal(gradient, tf.cast(tf.cast(gradient, "bfloat16"), "float32"))


WITHOUT_ONEDNN = """
import tensorflow as tf
from tfadv.networks import moeskops
network = moeskops.segmentor(1, 3, moeskops.DILATED, dropout=0.5, momentum=0.9)
@tf.function
def step():
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(tf.ones([1, 67, 67, 1]), training=True))
    return tape.gradient(loss, network.trainable_variables)
print(len(step()))
"""


@pytest.mark.slow
def test_dilated_networks_train_without_onednn() -> None:
    """As on CPUs of before 2019, where TensorFlow does not use it."""
    command = [sys.executable, "-c", WITHOUT_ONEDNN]
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["30"]  # 7 x (kernel, bias, scale, offset), kernel, bias.
    assert result.stderr.count("TensorFlow does not use oneDNN here for float32") == 1
