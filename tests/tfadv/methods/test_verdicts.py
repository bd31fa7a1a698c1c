"""Verdicts: what is logged of them, and their exchange by lot."""

import numpy as np
import tensorflow as tf

from tfadv.methods.verdicts import Verdicts, observed, swapped
from tfadv.players import Scene

VERDICTS = Verdicts(tf.range(100.0)[:, None], -1 - tf.range(100.0)[:, None])


def test_about_half_of_the_samples_are_exchanged_whole() -> None:
    true, generated, _ = swapped(VERDICTS, tf.constant([3, 0], tf.int64))
    exchanged = np.ravel(true < 0)
    assert 30 < exchanged.sum() < 70
    np.testing.assert_array_equal(np.ravel(generated >= 0), exchanged)
    np.testing.assert_array_equal(true + generated, VERDICTS.true + VERDICTS.generated)


def test_voxels_of_a_sample_share_its_lot() -> None:
    maps = Verdicts(tf.ones([50, 4, 4, 4, 1]), tf.zeros([50, 4, 4, 4, 1]))
    true, _, _ = swapped(maps, tf.constant([0, 0], tf.int64))
    by_sample = np.reshape(true, [50, -1])
    assert (by_sample == by_sample[:, :1]).all()
    assert 0 < by_sample[:, 0].sum() < 50


def test_voxels_that_nobody_annotated_are_exchanged_and_logged_as_such() -> None:
    annotated = tf.constant([[1], [0]], tf.uint8)
    verdicts = Verdicts(tf.constant([[0.0], [9.0]]), tf.constant([[0.0], [-9.0]]), annotated)
    assert swapped(verdicts, tf.constant([0, 0], tf.int64)).annotated is annotated
    found = {n: float(value(Scene({}, {}, verdicts))) for n, value in observed("critic").items()}
    assert found == {"critic_true": 0.5, "critic_generated": 0.5}


def test_probabilities_are_logged_by_the_judges_name() -> None:
    scene = Scene({}, {}, Verdicts(tf.zeros([2, 1]), tf.fill([2, 1], -np.log(3.0))))
    found = {name: float(value(scene)) for name, value in observed("critic").items()}
    np.testing.assert_allclose(found["critic_true"], 0.5)
    np.testing.assert_allclose(found["critic_generated"], 0.25, rtol=1e-6)
    assert list(found) == ["critic_true", "critic_generated"]
