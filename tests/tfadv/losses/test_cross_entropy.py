"""Cross entropy against literals."""

import math

import numpy as np
import tensorflow as tf

from tfadv.losses.cross_entropy import cross_entropy

LOG_3 = math.log(3)


def test_cross_entropy_is_log_c_for_equal_logits() -> None:
    labels = tf.constant([[[0, 1], [2, 3]]], tf.uint8)
    np.testing.assert_allclose(cross_entropy(labels, tf.zeros([1, 2, 2, 4])), math.log(4))


def test_cross_entropy_is_the_mean_over_voxels_and_samples() -> None:
    labels = tf.constant([[[0, 0]], [[1, 1]]], tf.uint8)
    logits = tf.constant([[[[LOG_3, 0.0]] * 2], [[[LOG_3, 0.0]] * 2]])
    expected = (math.log(4 / 3) + math.log(4)) / 2
    np.testing.assert_allclose(cross_entropy(labels, logits), expected, rtol=1e-6)
