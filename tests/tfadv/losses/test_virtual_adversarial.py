"""Eq. 4 of Peiris et al. 2021: divergences against literals, the perturbation against closed forms
and random directions."""

import math
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy.special import expit, rel_entr, softmax

from tfadv.losses.virtual_adversarial import (
    adversarial_perturbation,
    bernoulli_divergence,
)

LOG_2 = math.log(2)
LOG_3 = math.log(3)
EPSILON = 0.05
TARGETS = ["truth", "prediction"]
Divergence = Callable[[tf.Tensor], tf.Tensor]


def categorical_divergence(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """KL(target || softmax(logits)), the mean over voxels: one whose Hessian is known."""
    target = tf.cast(target, logits.dtype)
    by_class = tf.math.xlogy(target, target) - target * tf.nn.log_softmax(logits, axis=-1)
    return tf.reduce_mean(tf.reduce_sum(by_class, -1), list(range(1, len(logits.shape) - 1)))


def normal(shape: list[int], seed: int) -> tf.Tensor:
    return tf.random.stateless_normal(shape, [seed, 0])


def sizes(values: tf.Tensor) -> np.ndarray:
    """The root mean square of each sample, in float64."""
    samples = np.reshape(np.asarray(values, np.float64), [len(values), -1])
    return np.sqrt(np.mean(samples**2, axis=1))


def of_size(values: tf.Tensor, size: float) -> np.ndarray:
    """The same directions, each sample of this size."""
    values = np.asarray(values, np.float64)
    scales = size / sizes(values)
    return np.float32(values * scales.reshape([-1] + [1] * (values.ndim - 1)))


def build(dimensions: int = 2, precision: str = "float32") -> keras.Model:
    """[B, 6, 6, (6,) 2] -> float32 logits of three maps."""
    keras.utils.set_random_seed(1)
    convolution = {2: layers.Conv2D, 3: layers.Conv3D}[dimensions]
    x = image = keras.Input([6] * dimensions + [2])
    for _ in range(2):
        x = convolution(4, 3, padding="same", dtype=precision)(x)
        x = layers.GroupNormalization(2, dtype=precision)(x)
        x = layers.ReLU(dtype=precision)(x)
    return keras.Model(image, convolution(3, 1, dtype="float32")(x))


def draw_image(dimensions: int = 2) -> tf.Tensor:
    return normal([2] + [6] * dimensions + [2], seed=1)


def divergence_from(kind: str, network: keras.Model, image: tf.Tensor) -> Divergence:
    """Of the network's maps from random masks, or from its maps of the clean image."""
    if kind == "truth":
        target = tf.cast(normal([*image.shape[:-1], 3], seed=2) > 0, tf.float32)
    else:
        target = tf.stop_gradient(tf.sigmoid(network(image)))
    return lambda x: bernoulli_divergence(target, network(x))


def perturb(divergence: Divergence, image: tf.Tensor, seed: int = 3, **changes: float) -> tf.Tensor:
    settings = {"epsilon": EPSILON, "xi": 0.01, "iterations": 2, **changes}
    return adversarial_perturbation(divergence, image, normal(image.shape, seed), **settings)


@pytest.mark.parametrize(
    ("target", "logit", "expected"),
    [
        (0.5, 0.0, 0.0),
        (0.75, LOG_3, 0.0),
        (0.5, LOG_3, math.log(4 / 3) / 2),
        (0.75, -LOG_3, LOG_3 / 2),
        (0.0, 0.0, LOG_2),
        (1.0, 0.0, LOG_2),
        (1.0, -LOG_3, 2 * LOG_2),
        # Saturated: right, wrong, and in between.
        (1.0, 100.0, 0.0),
        (0.0, -100.0, 0.0),
        (1.0, -100.0, 100.0),
        (0.0, 100.0, 100.0),
        (0.5, 100.0, 50 - LOG_2),
        (1023 / 1024, 100.0, (100 - 10 * LOG_2) / 1024 + 1023 / 1024 * math.log(1023 / 1024)),
    ],
)
def test_bernoulli_divergence_of_one_voxel(target: float, logit: float, expected: float) -> None:
    divergence = bernoulli_divergence(tf.constant([[[target]]]), tf.constant([[[logit]]]))
    np.testing.assert_allclose(divergence, [expected], rtol=1e-5, atol=1e-7)


def test_bernoulli_divergence_takes_masks_of_integers() -> None:
    """Four voxels with two maps: a sum over maps, a mean over voxels, none over samples."""
    truth = tf.constant([[[[1, 0]] * 2] * 2, [[[1, 1]] * 2] * 2], tf.uint8)
    logits = tf.constant([[0.0, LOG_3], [0.0, 0.0]])[:, None, None] * tf.ones([2, 2, 2, 2])
    np.testing.assert_allclose(bernoulli_divergence(truth, logits), [3 * LOG_2, 2 * LOG_2])


def test_bernoulli_divergence_agrees_with_scipy() -> None:
    target, logits = expit(normal([2, 4, 5, 6, 3], 0)), 3 * normal([2, 4, 5, 6, 3], 1)
    p, q = np.float64(target), expit(np.float64(logits))
    expected = (rel_entr(p, q) + rel_entr(1 - p, 1 - q)).sum(-1).mean((1, 2, 3))
    np.testing.assert_allclose(bernoulli_divergence(target, logits), expected, rtol=1e-5)


@pytest.mark.parametrize("divergence", [bernoulli_divergence, categorical_divergence])
def test_saturated_voxels_have_the_gradient_of_others(
    divergence: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> None:
    """Prediction less target, whose mean is over the two voxels."""
    target = tf.constant([[[1.0, 0.0], [0.0, 1.0]]])
    logits = tf.constant([[[100.0, -100.0], [100.0, -100.0]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = divergence(target, logits)
    np.testing.assert_allclose(tape.gradient(value, logits), [[[0, 0], [0.5, -0.5]]], atol=1e-7)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", TARGETS)
def test_gradient_of_the_term_reaches_every_weight(kind: str, precision: str) -> None:
    network, image = build(2, precision), draw_image()

    @tf.function
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            divergence = divergence_from(kind, network, image)
            perturbation = perturb(divergence, image, iterations=1)
            term = tf.reduce_mean(divergence(image + perturbation))
        return tape.gradient(term, network.trainable_variables)

    values = gradients()
    assert len(values) == 10
    assert all(np.isfinite(value).all() and np.any(value) for value in values)


@pytest.mark.parametrize(("dimensions", "precision"), [(2, "mixed_bfloat16"), (3, "float32")])
@pytest.mark.parametrize("kind", TARGETS)
def test_divergence_grows_more_than_along_random_directions(
    kind: str, dimensions: int, precision: str
) -> None:
    network, image = build(dimensions, precision), draw_image(dimensions)
    divergence = tf.function(divergence_from(kind, network, image), autograph=False)
    perturbation = perturb(divergence, image)
    np.testing.assert_allclose(sizes(perturbation), EPSILON, rtol=1e-6)
    adversarial = divergence(image + perturbation).numpy()
    beaten = np.zeros(2)
    for seed in range(100):
        random = of_size(normal(image.shape, 100 + seed), EPSILON)
        beaten += adversarial > divergence(image + random).numpy()
    assert (beaten >= 95).all()


def test_iterations_raise_the_divergence_from_the_prediction() -> None:
    network, image = build(), draw_image()
    divergence = divergence_from("prediction", network, image)
    reached = [divergence(image + perturb(divergence, image, iterations=n)) for n in (0, 1, 8)]
    assert (np.diff(reached, axis=0) > 0).all()


def test_the_gradient_at_zero_vanishes_for_the_prediction_alone() -> None:
    network, image = build(), draw_image()
    found = {}
    for kind in TARGETS:
        divergence = divergence_from(kind, network, image)
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = divergence(image)
        found[kind] = sizes(tape.gradient(value, image))
    assert (found["prediction"] < 1e-5 * found["truth"]).all()


def test_an_xi_below_the_networks_precision_is_not_seen() -> None:
    """The direction is then that of rounding errors, the same from any start."""
    network, image = build(2, "mixed_bfloat16"), draw_image()
    divergence = divergence_from("prediction", network, image)
    distances = {}
    for xi in (1e-7, 0.1):
        first, second = (perturb(divergence, image, seed, xi=xi, iterations=1) for seed in (3, 4))
        distances[xi] = sizes(first - second)
    assert (distances[1e-7] < 0.01 * EPSILON).all()
    assert (distances[0.1] > 0.1 * EPSILON).all()


def test_float16_does_not_lose_the_gradient_of_a_mean_over_many_voxels() -> None:
    """Of 2^18 voxels, with gradients of 2e-8 each, where float16 has nothing but zero."""
    weights = 0.005 * normal([1, 512, 512, 1], 1)

    def divergence(image: tf.Tensor) -> tf.Tensor:
        rounded = tf.cast(tf.cast(image, tf.float16), tf.float32)
        return tf.reduce_mean(weights * rounded, [1, 2, 3])

    image, start = tf.zeros([1, 512, 512, 1]), normal([1, 512, 512, 1], 2)
    found = adversarial_perturbation(divergence, image, start, epsilon=1.0, xi=1.0, iterations=1)
    np.testing.assert_allclose(found, weights / 0.005, atol=0.01)


class LinearSoftmax:
    """logits = W x of two flattened images [3, 2, 2] and four classes."""

    def __init__(self) -> None:
        self.image = normal([2, 3, 2, 2], 1)
        self.weights = normal([4, 12], 2)

    def logits(self, image: tf.Tensor) -> tf.Tensor:
        return tf.reshape(image, [2, 12]) @ tf.transpose(self.weights)

    def exactly(self, image: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """W and the probabilities [2, 4] in float64."""
        weights = np.float64(self.weights)
        return weights, softmax(np.reshape(np.float64(image), [2, 12]) @ weights.T, axis=1)


def test_prediction_gives_the_top_eigenvector_of_a_linear_models_fisher_matrix() -> None:
    model = LinearSoftmax()
    target = tf.nn.softmax(model.logits(model.image))
    found = perturb(
        lambda x: categorical_divergence(target, model.logits(x)),
        model.image,
        xi=3e-3,
        iterations=30,
    )
    weights, probabilities = model.exactly(model.image)
    for direction, p in zip(
        np.reshape(found, [2, 12]) / (EPSILON * 12**0.5), probabilities, strict=True
    ):
        fisher = weights.T @ (np.diag(p) - np.outer(p, p)) @ weights
        top = np.linalg.eigh(fisher).eigenvectors[:, -1]
        assert abs(direction @ top) > 0.999


@pytest.mark.parametrize("xi", [1e-4, 2.0])
def test_truth_gives_the_gradient_of_a_linear_model(xi: float) -> None:
    """W^T (p - y), with p at xi along the start's direction."""
    model = LinearSoftmax()
    truth = np.eye(4)[[2, 0]]
    found = perturb(
        lambda x: categorical_divergence(truth, model.logits(x)), model.image, xi=xi, iterations=1
    )
    start = of_size(normal(model.image.shape, 3), xi)
    weights, probabilities = model.exactly(model.image + start)
    expected = of_size((probabilities - truth) @ weights, EPSILON)
    np.testing.assert_allclose(np.reshape(found, [2, 12]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_perturbation_is_a_constant_to_the_gradient(kind: str) -> None:
    network, image = build(), draw_image()
    divergence = divergence_from(kind, network, image)
    with tf.GradientTape() as tape:
        perturbation = perturb(divergence, image)
        term = tf.reduce_mean(divergence(image + perturbation))
    found = tape.gradient(term, network.trainable_variables)
    with tf.GradientTape() as tape:
        term = tf.reduce_mean(divergence(image + perturbation.numpy()))
    expected = tape.gradient(term, network.trainable_variables)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_running_statistics_stay() -> None:
    keras.utils.set_random_seed(1)
    normalisation = layers.BatchNormalization(momentum=0.5)
    network = keras.Sequential(
        [layers.Conv2D(4, 3, padding="same"), normalisation, layers.Conv2D(3, 1)]
    )
    image = draw_image()
    network(image, training=True)
    before = [value.numpy() for value in normalisation.non_trainable_variables]
    divergence = divergence_from("truth", lambda x: network(x, training=False), image)

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape():
            return perturb(divergence, image, iterations=1)

    step()
    after = [value.numpy() for value in normalisation.non_trainable_variables]
    np.testing.assert_equal(after, before)


def test_samples_are_independent() -> None:
    network, image = build(), draw_image()
    target = tf.cast(normal([2, 6, 6, 3], 2) > 0, tf.float32)
    divergence = lambda x: bernoulli_divergence(target, network(x))  # noqa: E731
    found = perturb(divergence, image)
    other = perturb(divergence, tf.stack([image[0], 10 * image[1] + 1]))
    np.testing.assert_allclose(found[0], other[0], rtol=1e-4, atol=1e-6)
    assert sizes(found - other)[1] > 0.1 * EPSILON


def test_graph_and_eager_agree_and_the_start_decides() -> None:
    network, image = build(), draw_image()
    divergence = divergence_from("prediction", network, image)
    found = perturb(divergence, image)
    np.testing.assert_array_equal(perturb(divergence, image), found)
    compiled = tf.function(lambda x: perturb(divergence, x), autograph=False)
    np.testing.assert_allclose(compiled(image), found, rtol=1e-3, atol=1e-4)
    assert (sizes(perturb(divergence, image, seed=4) - found) > 0.01 * EPSILON).all()


def test_a_voxel_moves_as_far_in_a_large_crop_as_in_a_small_one() -> None:
    for extent in (2, 16):
        image = tf.zeros([2, extent, extent, extent, 3])
        found = perturb(lambda x: tf.reduce_sum(x, [1, 2, 3, 4]), image, iterations=1)
        np.testing.assert_allclose(found, EPSILON * tf.ones_like(image), rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e30])
def test_gradients_of_any_magnitude_are_normalised(scale: float) -> None:
    image, slope = draw_image(), normal([2, 6, 6, 2], 4)
    found = perturb(lambda x: tf.reduce_sum(x * (scale * slope), [1, 2, 3]), image)
    np.testing.assert_allclose(found, of_size(slope, EPSILON), rtol=1e-5)


def test_a_sample_without_a_gradient_keeps_its_direction() -> None:
    """The start's for the first sample; the second has one."""
    image, slope = draw_image(), normal([2, 6, 6, 2], 4)
    masked = slope * tf.constant([0.0, 1.0])[:, None, None, None]
    found = perturb(lambda x: tf.reduce_sum(x * masked, [1, 2, 3]), image)
    expected = of_size(tf.stack([normal(image.shape, 3)[0], slope[1]]), EPSILON)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
