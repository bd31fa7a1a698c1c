"""Voxels that nobody annotated, against the same problem without them, computed by NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, log_softmax, rel_entr, softmax

from tfadv.losses.adversarial import discriminator_loss, non_saturating_segmentor_loss
from tfadv.losses.annotated import annotated_mean, shown
from tfadv.losses.cross_entropy import cross_entropy
from tfadv.losses.dice import dice_loss
from tfadv.losses.virtual_adversarial import bernoulli_divergence

SHAPE = (2, 4, 5, 3)  # Two samples of 4x5 voxels, three classes or regions.
RANDOM = np.random.default_rng(0)
LOGITS = 2 * RANDOM.normal(size=SHAPE)
CLASSES = RANDOM.integers(0, 3, SHAPE[:-1])
MASKS = RANDOM.integers(0, 2, SHAPE)
INSIDE = RANDOM.random(SHAPE[:-1]) < 0.6
ANNOTATED = tf.constant(INSIDE, tf.uint8)
STEP = 1e-6
Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def of_samples(values: np.ndarray) -> list[np.ndarray]:
    """Of each sample, the annotated voxels alone."""
    return [sample[inside] for sample, inside in zip(values, INSIDE, strict=True)]


def cross_entropy_without(logits: np.ndarray) -> float:
    by_voxel = log_softmax(logits[INSIDE], axis=-1)
    return float(-np.mean(by_voxel[np.arange(len(by_voxel)), CLASSES[INSIDE]]))


def dice_without(logits: np.ndarray) -> float:
    p, y = of_samples(expit(logits)), of_samples(MASKS)
    pairs = zip(p, y, strict=True)
    return float(
        np.mean([1 - (2 * (a * b).sum(0) + 1) / (a.sum(0) + b.sum(0) + 1) for a, b in pairs])
    )


def divergence_without(logits: np.ndarray) -> float:
    q, p = of_samples(expit(logits)), of_samples(MASKS)
    pairs = zip(p, q, strict=True)
    return float(
        np.mean([(rel_entr(a, b) + rel_entr(1 - a, 1 - b)).sum(-1).mean() for a, b in pairs])
    )


def discriminator_without(logits: np.ndarray) -> float:
    """Each voxel's logits are of true maps, and their negatives of generated ones."""
    return float(2 * np.logaddexp(0, -logits[INSIDE]).mean())


def segmentor_without(logits: np.ndarray) -> float:
    return float(np.logaddexp(0, -logits[INSIDE]).mean())


# The counterpart in NumPy, and the loss of logits and of what is annotated.
LOSSES: dict[str, tuple[Callable[[np.ndarray], float], Loss]] = {
    "cross_entropy": (
        cross_entropy_without,
        lambda logits, annotated: cross_entropy(tf.constant(CLASSES), logits, annotated),
    ),
    "dice": (
        dice_without,
        lambda logits, annotated: dice_loss(tf.sigmoid(logits), tf.constant(MASKS), annotated),
    ),
    "divergence": (
        divergence_without,
        lambda logits, annotated: tf.reduce_mean(
            bernoulli_divergence(tf.constant(MASKS), logits, annotated)
        ),
    ),
    "discriminator": (
        discriminator_without,
        lambda logits, annotated: discriminator_loss(logits, -logits, _each(annotated)),
    ),
    "segmentor": (
        segmentor_without,
        lambda logits, annotated: non_saturating_segmentor_loss(logits, _each(annotated)),
    ),
}
each_loss = pytest.mark.parametrize(("without", "loss"), LOSSES.values(), ids=LOSSES)


def _each(annotated: tf.Tensor) -> tf.Tensor:
    return tf.repeat(annotated[..., None], SHAPE[-1], axis=-1)


def value_and_gradient(loss: Loss, annotated: tf.Tensor) -> tuple[float, np.ndarray]:
    logits = tf.constant(LOGITS, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(logits, annotated)
    return float(value), tape.gradient(value, logits).numpy()


@each_loss
def test_the_loss_is_that_of_the_other_voxels(
    without: Callable[[np.ndarray], float], loss: Loss
) -> None:
    value, gradient = value_and_gradient(loss, ANNOTATED)
    np.testing.assert_allclose(value, without(LOGITS), rtol=1e-12)
    differences = np.zeros(SHAPE)
    for place in np.ndindex(SHAPE):
        step = np.zeros(SHAPE)
        step[place] = STEP
        differences[place] = (without(LOGITS + step) - without(LOGITS - step)) / (2 * STEP)
    np.testing.assert_allclose(gradient, differences, atol=1e-9)
    assert not gradient[~INSIDE].any()
    assert gradient[INSIDE].all()


@each_loss
def test_without_any_annotated_voxel_a_loss_is_zero(
    without: Callable[[np.ndarray], float], loss: Loss
) -> None:
    value, gradient = value_and_gradient(loss, tf.zeros_like(ANNOTATED))
    assert value == 0
    assert not gradient.any()


@each_loss
def test_a_sample_that_nobody_annotated_does_not_disturb(
    without: Callable[[np.ndarray], float], loss: Loss
) -> None:
    annotated = tf.concat([ANNOTATED[:1], tf.zeros_like(ANNOTATED[1:])], 0)
    value, gradient = value_and_gradient(loss, annotated)
    assert value > 0
    assert not gradient[1].any()
    assert gradient[0][INSIDE[0]].all()


def test_the_gradient_of_cross_entropy_in_closed_form() -> None:
    _, gradient = value_and_gradient(LOSSES["cross_entropy"][1], ANNOTATED)
    expected = (softmax(LOGITS, axis=-1) - np.eye(3)[CLASSES]) / INSIDE.sum()
    np.testing.assert_allclose(gradient, expected * INSIDE[..., None], atol=1e-12)


def test_means_are_over_the_given_axes() -> None:
    values = tf.constant([[1.0, 5.0], [7.0, 9.0]])
    annotated = tf.constant([[1, 0], [0, 0]], tf.uint8)
    np.testing.assert_array_equal(annotated_mean(values, annotated, [1]), [1, 0])
    np.testing.assert_array_equal(annotated_mean(values, None, [1]), [3, 8])


def test_nobody_is_shown_a_map_of_what_nobody_annotated() -> None:
    maps = tf.ones([1, 2, 1, 3])
    np.testing.assert_array_equal(
        shown(maps, tf.constant([[[1], [0]]], tf.uint8)), [[[[1, 1, 1]], [[0, 0, 0]]]]
    )
    assert shown(maps, None) is maps
