"""Group normalisation against Keras' layer, gradients included."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfadv.networks.group_normalisation import GroupNormalization

EPSILON = 1e-3


def passed(layer: keras.Layer, x: tf.Tensor, up: tf.Tensor) -> list[np.ndarray]:
    """The layer's answer, and its gradients with respect to x, gamma and beta."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    gradients = tape.gradient(y, [x, *(w.value for w in layer.trainable_variables)], up)
    return [tf.cast(tensor, tf.float32).numpy() for tensor in (y, *gradients)]


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (2, 3, 4, 5, 6)], ids=["slices", "volumes"])
@pytest.mark.parametrize(("dtype", "close"), [("float32", 2e-6), ("bfloat16", 8e-3)])
def test_values_and_gradients_are_those_of_keras(
    groups: int, shape: tuple[int, ...], dtype: str, close: float
) -> None:
    random = np.random.default_rng(0)
    # In the first channels the variance is about epsilon: one put elsewhere would show.
    values = random.normal([0, -1, 0.5, 3, -4, 0], [0.03, 0.03, 1, 2, 5, 0.03], shape)
    x, up = tf.cast(values, dtype), tf.cast(random.normal(size=shape), dtype)
    policy = "mixed_bfloat16" if dtype == "bfloat16" else dtype
    ours = GroupNormalization(groups, EPSILON, dtype=policy)
    # In float32: Keras rounds gamma and beta to bfloat16.
    theirs = layers.GroupNormalization(groups, epsilon=EPSILON)
    weights = random.uniform(0.5, 2.0, (2, 6))
    for layer in (ours, theirs):
        layer.build(shape)
        layer.set_weights(list(weights))
    expected = passed(theirs, tf.cast(x, tf.float32), tf.cast(up, tf.float32))
    found = passed(ours, x, up)
    assert tf.as_dtype(ours(x).dtype) == x.dtype
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=close * np.abs(other).max())
    assert np.abs(expected[1]).max() > 0.1


def test_a_model_with_it_is_what_its_configuration_says() -> None:
    layer = GroupNormalization(2, EPSILON)
    copy = GroupNormalization.from_config(layer.get_config())
    assert (copy.groups, copy.epsilon) == (2, EPSILON)
    image = keras.Input((None, 4, 6))
    assert layer(image).shape == (None, None, 4, 6)
    assert [w.name for w in layer.weights] == ["gamma", "beta"]


@pytest.mark.parametrize("groups", [2, 6])
def test_extents_may_be_unknown_while_a_graph_is_made(groups: int) -> None:
    random = np.random.default_rng(0)
    x, up = (tf.constant(random.normal(size=(2, 3, 4, 6)), tf.float32) for _ in range(2))
    layer = GroupNormalization(groups, EPSILON)
    layer.build(x.shape)

    def of(x: tf.Tensor, up: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return [y, *tape.gradient(y, [x, layer.gamma.value, layer.beta.value], up)]

    some = tf.TensorSpec([None, None, None, 6])
    for one, other in zip(of(x, up), tf.function(of, [some, some])(x, up), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("groups", [2, 6])
def test_it_is_few_operations(groups: int) -> None:
    """Of which networks have dozens in each of a step's passes: to trace them takes seconds."""
    layer = GroupNormalization(groups, EPSILON)
    layer.build((2, 4, 4, 4, 6))

    def pulled(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, [x, layer.gamma.value, layer.beta.value], y)

    shape = tf.TensorSpec([2, 4, 4, 4, 6])
    graph = tf.function(pulled, autograph=False).get_concrete_function(shape).graph
    assert len(graph.get_operations()) < (80 if groups < 6 else 60)
