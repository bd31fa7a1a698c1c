"""Kohl et al. 2017, "Network Architectures": layers, normalisation and sizes."""

import keras
import pytest
import tensorflow as tf
from keras import layers

from tfadv.networks.group_normalisation import GroupNormalization
from tfadv.networks.kohl import discriminator, segmentor


def kinds(network: keras.Model, kind: type) -> list[keras.Layer]:
    return [layer for layer in network.layers if isinstance(layer, kind)]


def test_segmentor_gives_a_logit_per_voxel_and_class() -> None:
    assert segmentor(3, 4, width=2)(tf.zeros([1, 32, 48, 3])).shape == (1, 32, 48, 4)


@pytest.mark.parametrize("convolutions", [1, 2])
def test_first_and_last_layers_are_not_normalised(convolutions: int) -> None:
    network = segmentor(1, 2, width=2, convolutions=convolutions)
    filters = [layer.filters for layer in kinds(network, layers.Conv2D)]
    assert filters[:: convolutions or 1][:5] == [2, 4, 8, 16, 32]
    # Nine levels' convolutions and the logits; all but the first and the last are normalised.
    assert len(filters) == 9 * convolutions + 1
    assert len(kinds(network, GroupNormalization)) == len(filters) - 2


@pytest.mark.parametrize("poolings", [0, 2, 5])
def test_discriminator_gives_one_logit_per_pair(poolings: int) -> None:
    network = discriminator(3, 4, width=2, poolings=poolings)
    pair = [tf.zeros([2, 32, 32, 3]), tf.zeros([2, 32, 32, 4])]
    assert network(pair).shape == (2, 1)
    filters = [layer.filters for layer in kinds(network, layers.Conv2D)]
    assert filters == [2, 4, 8, 16, 16, 32]
    assert len(kinds(network, layers.MaxPooling2D)) == poolings


@pytest.mark.parametrize("last", [True, False])
def test_last_convolution_is_normalised_or_has_a_bias(last: bool) -> None:
    """The paper's last layer without normalisation: the output node, or the last convolution."""
    network = discriminator(3, 4, width=2, last_normalised=last)
    biased = [layer.use_bias for layer in kinds(network, layers.Conv2D)]
    assert biased == [True, *[False] * 4, not last]
    assert len(kinds(network, GroupNormalization)) == 4 + last


def test_noise_is_added_to_label_maps_in_training_alone() -> None:
    assert not kinds(discriminator(1, 2, width=2), layers.GaussianNoise)
    network = discriminator(1, 2, width=2, poolings=1, noise=0.5)
    pair = [tf.ones([1, 8, 8, 1]), tf.ones([1, 8, 8, 2])]
    assert float(network(pair)[0, 0]) == float(network(pair)[0, 0])
    drawn = {float(network(pair, training=True)[0, 0]) for _ in range(3)}
    assert len(drawn) == 3
