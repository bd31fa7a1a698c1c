"""Eq. 2 and 3 of Xue et al. 2018 against literals."""

import numpy as np
import pytest
import tensorflow as tf

from tfadv.losses.multi_scale import scale_distances


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        # One scale: the mean absolute error.
        ([[1.0, 2.0]], [[1.0, 2.0]], [0.0]),
        ([[1.0, 2.0]], [[0.0, 4.0]], [1.5]),
        ([[-1.0, 1.0]], [[1.0, -1.0]], [2.0]),
        # Scales count alike, however many features they have.
        ([[1.0], [0.0, 0.0, 0.0, 4.0]], [[0.0], [0.0, 0.0, 0.0, 0.0]], [1.0, 1.0]),
        ([[0.0], [1.0], [2.0], [3.0]], [[0.0], [0.0], [0.0], [0.0]], [0.0, 1.0, 2.0, 3.0]),
    ],
)
def test_distances_are_mean_absolute_errors(
    predicted: list[list[float]], true: list[list[float]], expected: list[float]
) -> None:
    features = [tf.reshape(tf.constant(f), [1, 1, -1, 1]) for f in predicted]
    references = [tf.reshape(tf.constant(f), [1, 1, -1, 1]) for f in true]
    np.testing.assert_allclose(scale_distances(features, references)[:, 0], expected)


def test_each_sample_has_its_distance() -> None:
    predicted, true = tf.constant([[[[1.0]]], [[[3.0]]]]), tf.zeros([2, 1, 1, 1])
    np.testing.assert_allclose(scale_distances([predicted], [true]), [[1.0, 3.0]])


def test_different_numbers_of_scales_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        scale_distances([tf.zeros([1, 1, 1, 1])] * 2, [tf.zeros([1, 1, 1, 1])])
