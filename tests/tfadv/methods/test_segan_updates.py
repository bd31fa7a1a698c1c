"""What SegAN compares, and its control."""

import numpy as np
import tensorflow as tf

from tfadv.methods.segan_updates import Compared, Comparison, with_signs


def test_one_critic_sees_all_regions_or_each_its_own() -> None:
    together = Comparison(("a", "b"), ("critic",), "0123")
    assert (together.pairs, together.regions_together) == (("all",), 2)
    apart = Comparison(("a",), ("critic_a",), "0123")
    assert (apart.pairs, apart.regions_together) == (("a",), 1)


def test_signs_follow_the_seed_and_are_of_whole_samples() -> None:
    compared = Compared(tf.zeros([40]), lambda: tf.ones([2, 4, 40]))
    signed = with_signs(compared, tf.constant([1, 0], tf.int64)).distances.numpy()
    assert set(np.unique(signed)) == {-1.0, 1.0}
    assert (signed == signed[:1, :1]).all()
    other = with_signs(compared, tf.constant([2, 0], tf.int64)).distances.numpy()
    assert (signed != other).any()


def test_distances_are_computed_once_and_only_when_asked_for() -> None:
    asked = []

    def compare() -> tf.Tensor:
        asked.append(1)
        return tf.zeros([1, 1, 1])

    compared = Compared(tf.zeros([1]), compare)
    assert not asked
    assert compared.distances is compared.distances
    assert len(asked) == 1
