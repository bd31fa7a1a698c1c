"""What a model says of its label maps, beside NumPy and literals."""

from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf

from tfadv.inference.judges import SliceJudge
from tfadv.inference.quality import dice, entropy, measured, names_of
from tfadv.inference.targets import Targets

CLASSES = Targets(("b", "one", "two"), ((0,), (1,), (2,)), exclusive=True, classes=3)
REGIONS = Targets(("whole", "core"), ((1, 2), (2,)), exclusive=False, classes=3)


class Saying(SliceJudge):
    """Says the mean of the maps that it is shown, and keeps them."""

    def __init__(self, offset: float) -> None:
        self.offset = offset

    def verdict(self, image: tf.Tensor, maps: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(maps[..., -1]) + self.offset


def test_entropy_of_classes_is_that_of_the_distribution() -> None:
    probabilities = np.random.default_rng(0).dirichlet([1, 2, 3], (2, 3, 4)).astype(np.float32)
    probabilities[0, 0, 0] = [1, 0, 0]  # Which has none.
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = -np.nansum(probabilities * np.log(probabilities))
    assert float(entropy(tf.constant(probabilities), CLASSES)) == pytest.approx(expected, 1e-5)


def test_entropy_of_regions_is_the_mean_of_theirs() -> None:
    probabilities = np.array([[[[0.5, 0.5], [1.0, 0.0], [0.25, 1.0]]]], np.float32)
    quarter = -0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    expected = (2 * np.log(2) + quarter) / 2
    assert float(entropy(tf.constant(probabilities), REGIONS)) == pytest.approx(expected, 1e-6)


@pytest.mark.parametrize(
    ("targets", "expected"),
    # One: 2 of 3 and 2; two: nothing in both. Whole: as one; core: nothing in both.
    [(CLASSES, (0.8 + 1) / 2), (REGIONS, (0.8 + 1) / 2)],
)
def test_dice_of_two_label_maps(targets: Targets, expected: float) -> None:
    one, other = tf.constant([[[1, 1, 1, 0]]]), tf.constant([[[1, 1, 0, 0]]])
    assert float(dice(one, other, targets)) == pytest.approx(expected)
    assert float(dice(one, tf.constant([[[2, 2, 2, 0]]]), CLASSES)) == 0


def of(decided: Sequence[int], *members: Sequence[int]) -> np.ndarray:
    """What is said of a row of voxels with certain probabilities."""
    label_map = tf.constant([[decided]])
    probabilities = CLASSES.masks(label_map) * 0.5
    judges = {"discriminator": [Saying(1.0), Saying(3.0)], "judge": [Saying(0.0)]}
    by_member = [tf.constant([[member]]) for member in members]
    image = tf.zeros([1, 1, len(decided), 1])
    return measured(image, probabilities, label_map, by_member, judges, CLASSES).numpy()


def test_numbers_stand_in_the_order_of_their_names() -> None:
    judges = {"discriminator": [Saying(1.0)] * 2, "judge": [Saying(0.0)]}
    assert names_of(3, judges) == ("entropy", "pairwise_dice", "discriminator", "judge")
    assert names_of(1, {"discriminator": [], "judge": []}) == ("entropy",)
    said = of([0, 2, 2, 1], [0, 2, 2, 1], [0, 2, 2, 1], [0, 2, 2, 0])
    # Four voxels of -0.5 log 0.5 by three of foreground; two of three pairs differ in class 1.
    assert said[0] == pytest.approx(4 * 0.5 * np.log(2) / 3)
    assert said[1] == pytest.approx((1 + 0.5 + 0.5) / 3)
    # Discriminators see probabilities, judges label maps.
    assert said[2] == pytest.approx(0.25 + 2)
    assert said[3] == pytest.approx(0.5)


def test_nothing_found_is_no_division_by_zero() -> None:
    assert np.isfinite(of([0, 0], [0, 0], [0, 0])).all()
