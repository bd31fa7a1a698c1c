"""Recomputed networks against the plain ones of the same weights."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.inference.weights import named_weights
from tfadv.methods.receptive_field import receptive_field
from tfadv.networks import reciprocal

RANDOM = np.random.default_rng(0)
IMAGE, UP = (RANDOM.normal(size=(2, 16, 16, 16, n)).astype(np.float32) for n in (2, 3))


def made(recompute: bool) -> keras.Model:
    keras.utils.set_random_seed(1)
    return reciprocal.segmentor(2, 3, width=2, recompute=recompute)


def gradients(network: keras.Model, image: np.ndarray, up: np.ndarray) -> list[tf.Tensor]:
    """As `AdversarialModel` takes them."""
    watched = [variable.value for variable in network.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(watched)
        loss = tf.reduce_sum(network(image, training=True) * up)
    return tape.gradient(loss, watched)


def require_equal(one: list[tf.Tensor], other: list[tf.Tensor], share: float = 1e-5) -> None:
    for a, b in zip(one, other, strict=True):
        scale = float(tf.reduce_max(tf.abs(a)))
        np.testing.assert_allclose(a, b, rtol=0, atol=share * scale)


@pytest.mark.slow
def test_values_and_gradients_are_those_of_the_plain_network() -> None:
    plain, forgetful = made(False), made(True)
    for training in (False, True):
        np.testing.assert_array_equal(
            plain(IMAGE, training=training), forgetful(IMAGE, training=training)
        )
    require_equal(gradients(plain, IMAGE, UP), gradients(forgetful, IMAGE, UP))


def test_weights_have_the_same_names_and_files(tmp_path: Path) -> None:
    plain, forgetful = made(False), made(True)
    assert list(named_weights(plain)) == list(named_weights(forgetful))
    for variable in forgetful.weights:
        variable.assign(tf.zeros_like(variable.value))
    plain.save_weights(tmp_path / "plain.weights.h5")
    forgetful.load_weights(tmp_path / "plain.weights.h5")
    for one, other in zip(plain.weights, forgetful.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.slow
def test_the_receptive_field_is_found() -> None:
    assert receptive_field(made(True)) == receptive_field(made(False))


@pytest.mark.slow
@pytest.mark.variants  # Nothing in a block knows of replicas.
def test_two_replicas_recompute(mirrored: tf.distribute.Strategy) -> None:
    """In a graph; each has half of the images, and their gradients' sum is that of all."""
    with mirrored.scope():
        network = made(True)

    @tf.function(autograph=False)
    def summed() -> list[tf.Tensor]:
        def of_replica() -> list[tf.Tensor]:
            replica = tf.distribute.get_replica_context()
            place = replica.replica_id_in_sync_group
            half = slice(place, place + 1)
            own = gradients(network, tf.constant(IMAGE)[half], tf.constant(UP)[half])
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, own)

        return [mirrored.experimental_local_results(g)[0] for g in mirrored.run(of_replica)]

    kinds = [o.type for o in summed.get_concrete_function().graph.get_operations()]
    convolutions = sum(layer.name.startswith("conv3d") for layer in network._flatten_layers())
    # Each once, and once more for gradients, on both replicas.
    assert kinds.count("Conv3D") == 2 * 2 * (convolutions + 1)
    # Sums over voxels in another order.
    require_equal(gradients(made(False), IMAGE, UP), summed(), 1e-4)
