"""Losses against literals."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfadv.losses.adversarial import discriminator_loss, non_saturating_segmentor_loss
from tfadv.losses.cross_entropy import cross_entropy
from tfadv.losses.dice import dice_loss

LOG_2 = math.log(2)
LOG_3 = math.log(3)


@pytest.mark.parametrize(
    ("true", "generated", "expected"),
    [
        ([0.0], [0.0], 2 * LOG_2),
        # log D(y) of a logit log 3 is log 3/4; log(1 - D) of -log 3 is log 3/4.
        ([LOG_3], [-LOG_3], 2 * math.log(4 / 3)),
        ([-LOG_3], [0.0], math.log(4) + LOG_2),
        ([0.0, LOG_3], [0.0, 0.0], (LOG_2 + math.log(4 / 3)) / 2 + LOG_2),
        ([100.0], [-100.0], 0.0),
        ([-100.0], [100.0], 200.0),
    ],
)
def test_discriminator_loss(true: list[float], generated: list[float], expected: float) -> None:
    loss = discriminator_loss(tf.constant(true), tf.constant(generated))
    np.testing.assert_allclose(loss, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("generated", "expected"),
    [([0.0], LOG_2), ([LOG_3], math.log(4 / 3)), ([-LOG_3, LOG_3], (math.log(16 / 3)) / 2)],
)
def test_non_saturating_segmentor_loss(generated: list[float], expected: float) -> None:
    loss = non_saturating_segmentor_loss(tf.constant(generated))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_cross_entropy_is_log_c_for_equal_logits() -> None:
    labels = tf.constant([[[0, 1], [2, 3]]], tf.uint8)
    np.testing.assert_allclose(cross_entropy(labels, tf.zeros([1, 2, 2, 4])), math.log(4))


def test_cross_entropy_is_the_mean_over_voxels_and_samples() -> None:
    labels = tf.constant([[[0, 0]], [[1, 1]]], tf.uint8)
    logits = tf.constant([[[[LOG_3, 0.0]] * 2], [[[LOG_3, 0.0]] * 2]])
    expected = (math.log(4 / 3) + math.log(4)) / 2
    np.testing.assert_allclose(cross_entropy(labels, logits), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("probabilities", "truth", "expected"),
    [
        ([1.0, 1.0, 0.0, 0.0], [1, 1, 0, 0], 0.0),
        ([0.0, 0.0, 0.0, 0.0], [0, 0, 0, 0], 0.0),
        # 1 - (2 * 0 + 1) / (2 + 2 + 1)
        ([1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1], 0.8),
        # 1 - (2 * 1 + 1) / (2 + 1 + 1)
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 0.5),
    ],
)
def test_dice_loss(probabilities: list[float], truth: list[int], expected: float) -> None:
    shape = [1, 2, 2, 1]
    loss = dice_loss(tf.reshape(probabilities, shape), tf.reshape(tf.constant(truth), shape))
    np.testing.assert_allclose(loss, expected, rtol=1e-6, atol=1e-7)


def test_dice_loss_is_the_mean_over_samples_and_regions() -> None:
    """Of volumes as well: three of four are perfect, the last has 1 - 1 / (1 + 0 + 1)."""
    truth = tf.constant([[1, 1], [1, 0]], tf.float32)[:, None, None, None, :]
    np.testing.assert_allclose(dice_loss(tf.ones_like(truth), truth), 0.5 / 4, rtol=1e-6)
