"""How much two masks overlap."""

import numpy as np

from tfrecords.geometry.overlap import dice


def test_dice() -> None:
    first, second = np.array([1, 1, 1, 0], bool), np.array([0, 1, 0, 0], bool)
    assert dice(first, second) == 0.5
    assert dice(first & False, second & False) == 1


def test_dice_of_masks_apart_or_of_one_that_is_empty_is_zero() -> None:
    first, second = np.array([1, 0, 0], bool), np.array([0, 1, 1], bool)
    assert dice(first, second) == dice(first, second & False) == 0
