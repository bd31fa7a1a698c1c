"""Batch normalisation against Keras' layer, on one replica and on two."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfadv.networks.normalisation import BatchNormalization

# Sixteen channels have an operation of 16 bits.
SHAPES = {
    "dense": (12, 5),
    "slices": (4, 7, 6, 5),
    "slices of 16": (4, 7, 6, 16),
    "volumes": (2, 3, 5, 4, 5),
    "volumes of 16": (2, 3, 5, 4, 16),
}
EPSILON = 1e-3


def sample(shape: tuple[int, ...], dtype: str = "float32") -> tuple[tf.Tensor, tf.Tensor]:
    """Values whose channels differ in mean and spread, and the gradient that they are given."""
    random = np.random.default_rng(0)
    # In the first channel the variance is about epsilon: one put elsewhere would show.
    means, spreads = (
        np.resize(kinds, shape[-1]) for kinds in ([0.0, -1, 0.5, 3, -4], [0.03, 0.3, 1, 2, 5])
    )
    values = random.normal(means, spreads, shape)
    return tf.cast(values, dtype), tf.cast(random.normal(size=shape), dtype)


def pair(
    axes: int = 4, dtype: str = "float32", channels: int = 5
) -> tuple[keras.Layer, keras.Layer]:
    """Ours and Keras', for so many axes, with the same weights, none of them as they start."""
    policy = "mixed_bfloat16" if dtype == "bfloat16" else dtype
    ours = BatchNormalization(0.8, EPSILON, dtype=policy)
    theirs = layers.BatchNormalization(momentum=0.8, epsilon=EPSILON, dtype=policy)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, (4, channels))
    for layer in (ours, theirs):
        layer.build((*[None] * (axes - 1), channels))
        layer.set_weights(list(weights))
    return ours, theirs


def passed(layer: keras.Layer, x: tf.Tensor, up: tf.Tensor, *, training: bool) -> list[tf.Tensor]:
    """The layer's answer, its gradients, and the moving statistics that it leaves."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
    gradients = tape.gradient(y, [x, layer.gamma.value, layer.beta.value], up)
    return [y, *gradients, layer.moving_mean.value, layer.moving_variance.value]


def numbers(found: list[tf.Tensor]) -> list[np.ndarray]:
    return [tf.cast(tensor, tf.float32).numpy() for tensor in found]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_values_gradients_and_moving_statistics_are_keras(
    shape: tuple[int, ...], dtype: str, training: bool, graph: bool
) -> None:
    x, up = sample(shape, dtype)

    def found(layer: keras.Layer) -> list[tf.Tensor]:
        def once() -> list[tf.Tensor]:
            return passed(layer, x, up, training=training)

        return tf.function(once)() if graph else once()

    ours, theirs = map(found, pair(len(shape), dtype, shape[-1]))
    assert [tensor.dtype for tensor in ours] == [tensor.dtype for tensor in theirs]
    # A bfloat16 has eight binary digits; others are sums of as many roundings.
    tolerance = 1e-5 if dtype == "float32" else 2**-7
    for one, other in zip(numbers(ours), numbers(theirs), strict=True):
        scale = tolerance * np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=scale)


def test_moving_statistics_are_float32_in_bfloat16() -> None:
    x, up = sample((64, 9, 9, 5), "bfloat16")
    ours, theirs = (passed(layer, x, up, training=True)[-2:] for layer in pair(dtype="bfloat16"))
    for one, other in zip(numbers(ours), numbers(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_one_replica_normalises_in_one_operation(training: bool) -> None:
    layer, _ = pair()

    @tf.function
    def normalised(x: tf.Tensor) -> tf.Tensor:
        return layer(x, training=training)

    graph = normalised.get_concrete_function(tf.TensorSpec([None, None, None, 5])).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("FusedBatchNormV3") == 1
    assert not {"Mean", "Rsqrt", "SquaredDifference"} & set(kinds)


@pytest.mark.parametrize(("channels", "dtype"), [(5, tf.float32), (16, tf.bfloat16)])
def test_16_bits_of_few_channels_are_normalised_in_float32(channels: int, dtype: tf.DType) -> None:
    """CPUs have no fast kernel for them."""
    layer, _ = pair(dtype="bfloat16", channels=channels)

    @tf.function(autograph=False)
    def normalised(x: tf.Tensor) -> tf.Tensor:
        return layer(x, training=True)

    spec = tf.TensorSpec([None, None, None, channels], tf.bfloat16)
    operations = normalised.get_concrete_function(spec).graph.get_operations()
    (fused,) = (one for one in operations if one.type == "FusedBatchNormV3")
    assert fused.get_attr("T") == dtype


def test_weights_are_named_ordered_and_saved_as_keras_does(tmp_path: Path) -> None:
    """Runs of before go on."""
    ours, theirs = pair()
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights]
    image = keras.Input((5,))
    saved, restored = (
        keras.Model(image, layer(layers.Dense(5)(image)))
        for layer in (layers.BatchNormalization(), BatchNormalization(0.8, EPSILON))
    )
    saved.set_weights([np.full(w.shape, number + 2.0) for number, w in enumerate(saved.weights)])
    saved.save_weights(tmp_path / "run.weights.h5")
    restored.load_weights(tmp_path / "run.weights.h5")
    for one, other in zip(saved.weights, restored.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_single_value_has_no_spread() -> None:
    layer = BatchNormalization(0.5, EPSILON)
    np.testing.assert_array_equal(layer(tf.fill([1, 1, 1, 2], 7.0), training=True), 0)
    np.testing.assert_array_equal(layer.moving_mean, 3.5)
    np.testing.assert_array_equal(layer.moving_variance, 0.5)


def test_is_made_again_from_its_configuration() -> None:
    layer, _ = pair()
    again = BatchNormalization.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.momentum, again.epsilon) == (0.8, EPSILON)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("channels", [5, 16])
def test_replicas_of_one_minibatch_do_what_one_replica_does(
    mirrored: tf.distribute.Strategy, dtype: str, channels: int
) -> None:
    """To the last bit."""
    x, up = sample((4, 7, 6, channels), dtype)
    one, _ = pair(dtype=dtype, channels=channels)
    with mirrored.scope():
        two, _ = pair(dtype=dtype, channels=channels)
    results = mirrored.run(lambda: passed(two, x, up, training=True))
    for alone, both in zip(passed(one, x, up, training=True), results, strict=True):
        for replica in mirrored.experimental_local_results(both):
            np.testing.assert_array_equal(*numbers([alone, replica]))


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_two_replicas_share_moments_and_gradients(
    mirrored: tf.distribute.Strategy, graph: bool, offset: float
) -> None:
    """Each of them has a half; far from zero squares would leave nothing of the variance."""
    x, up = sample(SHAPES["slices"])
    x += offset
    x -= [[[[3.0]]], [[[3.0]]], [[[-3.0]]], [[[-3.0]]]]  # Halves of different means.
    one, _ = pair()
    expected = numbers(passed(one, x, up, training=True))
    with mirrored.scope():
        two, _ = pair()

    def half(number: tf.Tensor) -> list[tf.Tensor]:
        taken = slice(2 * number, 2 * number + 2)
        return passed(two, x[taken], up[taken], training=True)

    numbered: Any = mirrored.experimental_distribute_values_from_function(
        lambda context: tf.constant(context.replica_id_in_sync_group)
    )
    run = tf.function(mirrored.run) if graph else mirrored.run
    results = run(half, (numbered,))
    y, gradient, *weights = (mirrored.experimental_local_results(r) for r in results[:4])
    moving = (w.value for w in (two.moving_mean, two.moving_variance))
    mean, variance = (mirrored.experimental_local_results(value) for value in moving)
    tolerance = 1e-5 if offset == 0 else 1e-3
    np.testing.assert_allclose(np.concatenate(y), expected[0], atol=tolerance)
    np.testing.assert_allclose(np.concatenate(gradient), expected[1], atol=10 * tolerance)
    for own, whole in zip(weights, expected[2:4], strict=True):
        np.testing.assert_allclose(own[0] + own[1], whole, rtol=tolerance, atol=10 * tolerance)
    for own, whole in zip((mean, variance), expected[4:], strict=True):
        np.testing.assert_array_equal(own[0], own[1])
        np.testing.assert_allclose(own[0], whole, rtol=tolerance)
