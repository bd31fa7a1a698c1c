"""Soft Dice against literals."""

import numpy as np
import pytest
import tensorflow as tf

from tfadv.losses.dice import dice_loss


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
