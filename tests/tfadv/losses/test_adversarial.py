"""Losses of the two players against literals."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfadv.losses.adversarial import discriminator_loss, non_saturating_segmentor_loss

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
