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


def test_scale_0_is_the_mean_over_annotated_voxels() -> None:
    """Over both samples together; a segmentor whose every map is a half."""
    random = np.random.default_rng(0)
    image = random.normal(size=(2, 4, 4, 3)).astype(np.float32)
    truth = random.integers(0, 2, (2, 4, 4, 1)).astype(np.uint8)
    annotated = np.ones((2, 4, 4), np.uint8)
    annotated[0, :3] = annotated[1, 0] = 0
    batch = {"image": image, "label": truth, "annotated": annotated}
    networks = {"segmentor": lambda x, training: tf.zeros([2, 4, 4, 1])}
    compared = Comparison(("a",), (), "0")
    given = {name: tf.constant(value) for name, value in batch.items()}
    found = compared.compare(networks, given, training=True).distances  # type: ignore[arg-type]
    errors = np.abs(image * 0.5 - image * truth)
    np.testing.assert_allclose(np.mean(found), errors[annotated == 1].mean(), rtol=1e-6)
    given["annotated"] = tf.zeros([2, 4, 4], tf.uint8)
    none = compared.compare(networks, given, training=True).distances  # type: ignore[arg-type]
    np.testing.assert_array_equal(none, np.zeros((1, 1, 2)))
