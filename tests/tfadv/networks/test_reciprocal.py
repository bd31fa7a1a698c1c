"""The networks against section 4.1 of Peiris et al. 2021."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfadv.networks import reciprocal
from tfadv.networks.group_normalisation import GroupNormalization
from tfadv.networks.normalisation import BatchNormalization
from tfadv.networks.pooling import MaxPooling3D


def trainable(network: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


def convolution(before: int, maps: int) -> int:
    """3x3x3 kernel, scale and shift of the normalisation."""
    return 27 * before * maps + 2 * maps


def test_segmentor_has_the_parameters_of_five_levels_from_48() -> None:
    widths = [48, 96, 192, 384, 768]
    down = sum(
        convolution(a, b) + convolution(b, b) for a, b in zip([4, *widths], widths, strict=False)
    )
    up = sum(
        # After the upsampling, after the skip's concatenation, and once more.
        convolution(2 * b, b) + convolution(2 * b, b) + convolution(b, b)
        for b in widths[:-1]
    )
    assert trainable(reciprocal.segmentor(4, 3)) == down + up + 48 * 3 + 3


def test_critic_has_the_parameters_of_four_convolutions() -> None:
    expected = convolution(3, 48) + 2 * convolution(48, 48) + 27 * 48 + 1
    assert trainable(reciprocal.critic(3)) == expected


def test_segmentor_keeps_the_size_of_volumes_and_critic_judges_every_voxel() -> None:
    logits = reciprocal.segmentor(2, 3, width=2)(tf.zeros([1, 16, 32, 48, 2]))
    assert logits.shape == (1, 16, 32, 48, 3)
    assert reciprocal.critic(3, width=2)(tf.sigmoid(logits)).shape == (1, 16, 32, 48, 1)


def test_critic_sees_more_than_one_voxel() -> None:
    """The released critic has a receptive field of one voxel; four 3x3x3 layers see 9."""
    critic = reciprocal.critic(1, width=4)
    maps = tf.random.stateless_uniform([1, 13, 13, 13, 1], [0, 1])
    with tf.GradientTape() as tape:
        tape.watch(maps)
        centre = critic(maps, training=False)[0, 6, 6, 6, 0]
    seen = np.nonzero(tape.gradient(centre, maps)[0, ..., 0].numpy().any(axis=(1, 2)))[0]
    assert (seen[0], seen[-1]) == (2, 10)


def test_a_critics_moving_statistics_stay() -> None:
    network = reciprocal.critic(2, width=4)
    before = [variable.numpy() for variable in network.non_trainable_variables]
    network(tf.random.stateless_normal([2, 8, 8, 8, 2], [0, 1]), training=True)
    for old, variable in zip(before, network.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


def test_segmentor_has_group_normalisation_and_five_levels() -> None:
    kinds = [type(layer) for layer in reciprocal.segmentor(4, 3, width=16).layers]
    assert kinds.count(GroupNormalization) == kinds.count(layers.ReLU) == 10 + 12
    assert kinds.count(MaxPooling3D) == 4
    assert BatchNormalization not in kinds


@pytest.mark.slow
@pytest.mark.parametrize("size", [16, 32])
def test_gradients_in_bfloat16_are_of_the_size_of_float32(size: int) -> None:
    """At a depth of 2 those of kernels would be garbage, often of 1e34."""
    image = tf.random.stateless_uniform([1, size, size, size, 2], [0, 1])
    truth = tf.cast(image[..., :1] > 0.5, tf.float32)
    found = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.utils.set_random_seed(1)
        keras.config.set_dtype_policy(policy)
        network = reciprocal.segmentor(2, 1, width=4)
        keras.config.set_dtype_policy("float32")
        with tf.GradientTape() as tape:
            logits = network(image, training=True)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, logits))
        gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
        found.append(gradients)
    for exact, rounded in zip(*found, strict=True):
        assert np.abs(rounded).max() < 10 * np.abs(exact).max() + 1e-3


FULL_SIZE = """
import tensorflow as tf
from tfadv.networks import reciprocal
from tfadv.networks.normalisation import BatchNormalization
from tfadv.networks.pooling import MaxPooling3D
segmentor, critic = reciprocal.segmentor(4, 3), reciprocal.critic(3)
image = tf.random.stateless_uniform([1, 128, 128, 128, 4], [0, 1])
maps = tf.sigmoid(segmentor(image, training=False))
confidence = critic(maps, training=False)
finite = tf.reduce_all(tf.math.is_finite(confidence))
print(*maps.shape, *confidence.shape, bool(finite), float(tf.math.reduce_std(maps)) > 0)
"""


@pytest.mark.slow
@pytest.mark.variants  # A minute and 11 GB; the same layers are tested narrower.
def test_full_size_answers_for_128_cubed() -> None:
    """48 feature maps, 128x128x128x4 (4.1), forward.

    In a process of its own: convolutions on CPUs keep their 11 GB of scratch memory to its end.
    """
    command = [sys.executable, "-c", FULL_SIZE]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "1 128 128 128 3 1 128 128 128 1 True True"
