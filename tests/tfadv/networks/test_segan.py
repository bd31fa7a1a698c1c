"""The networks against Fig. 1 of Xue et al. 2018."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfadv.networks import segan


def trainable(network: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


def test_segmentor_has_the_parameters_of_fig_1() -> None:
    # Encoder 3-64 with bias, then 64-128-256-512 with scale and shift of their normalisation.
    encoder = (
        16 * 3 * 64 + 64 + sum(16 * a * b + 2 * b for a, b in ((64, 128), (128, 256), (256, 512)))
    )
    # Decoder: skips double what the next layer receives; the last layer gives the maps.
    decoder = sum(9 * a * b + 2 * b for a, b in ((512, 256), (512, 128), (256, 64)))
    assert trainable(segan.segmentor(3, 3)) == encoder + decoder + 9 * 128 * 3 + 3


def test_critic_has_the_parameters_of_three_blocks() -> None:
    blocks = 16 * 3 * 64 + 64 + sum(16 * a * b + 2 * b for a, b in ((64, 128), (128, 256)))
    assert trainable(segan.critic(3)) == blocks


def test_a_segmentor_for_each_map_has_as_many_parameters_as_they_have_alone() -> None:
    together = segan.segmentors(3, 3, width=4)
    assert trainable(together) == 3 * trainable(segan.segmentor(3, 1, width=4))
    assert together(tf.zeros([1, 32, 48, 3])).shape == (1, 32, 48, 3)


def test_maps_of_separate_segmentors_depend_on_their_own_weights_alone() -> None:
    together = segan.segmentors(2, 3, width=4)
    image = tf.random.stateless_normal([1, 32, 32, 2], [0, 1])
    before = together(image).numpy()
    kernel = together.get_layer("segmentor_1").trainable_variables[0]
    kernel.assign_add(tf.ones_like(kernel))
    changed = (together(image).numpy() != before).any(axis=(0, 1, 2))
    assert changed.tolist() == [False, True, False]


def test_critics_features_halve_and_double() -> None:
    features = segan.critic(3, width=8)(tf.zeros([2, 160, 160, 3]))
    assert [f.shape for f in features] == [(2, 80, 80, 8), (2, 40, 40, 16), (2, 20, 20, 32)]


@pytest.mark.parametrize("size", [(160, 160), (48, 80)])
def test_segmentor_keeps_the_size_of_slices(size: tuple[int, int]) -> None:
    assert segan.segmentor(4, 2, width=4)(tf.zeros([1, *size, 4])).shape == (1, *size, 2)


@pytest.mark.parametrize("network", [segan.segmentor(3, 3, width=4), segan.critic(3, width=4)])
def test_encoders_have_no_normalisation_first_and_a_leaky_slope_of_0_2(
    network: keras.Model,
) -> None:
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds.index("LeakyReLU") < kinds.index("BatchNormalization")
    slopes = [x.negative_slope for x in network.layers if isinstance(x, layers.LeakyReLU)]
    np.testing.assert_allclose(slopes, 0.2)


def test_every_parameter_of_the_critic_is_clamped_by_an_update() -> None:
    network = segan.critic(2, width=4, clamp=0.05)
    optimizer = keras.optimizers.RMSprop(0.5)
    optimizer.build(network.trainable_variables)
    ones = [tf.ones(v.shape) for v in network.trainable_variables]
    optimizer.apply(ones, network.trainable_variables)
    for variable in network.trainable_variables:
        assert np.abs(variable.numpy()).max() <= np.float32(0.05), variable.path


def test_a_critics_moving_statistics_stay() -> None:
    network = segan.critic(2, width=4)
    before = [variable.numpy() for variable in network.non_trainable_variables]
    network(tf.random.stateless_normal([2, 32, 32, 2], [0, 1]), training=True)
    for old, variable in zip(before, network.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


def test_no_region_where_all_modalities_are_zero() -> None:
    """There x * S(x) = x * y = 0 whatever S says (eq. 2)."""
    image = np.ones((1, 16, 16, 2), np.float32)
    image[0, :8] = 0
    image[0, 8, :, 0] = 0  # One modality remains.
    masked, free = (segan.segmentor(2, 3, width=4, masked=masked) for masked in (True, False))
    masked.set_weights(free.get_weights())
    logits = masked(image).numpy()
    np.testing.assert_array_equal(logits[0, :8], -20.0)
    np.testing.assert_array_equal(logits[0, 8:], free(image)[0, 8:])
