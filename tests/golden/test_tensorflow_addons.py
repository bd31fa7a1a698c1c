"""What takes the place of tensorflow-addons computes what tensorflow-addons did.

The references are written by make_tensorflow_addons.py.
"""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfadv.networks.group_normalisation import GroupNormalization
from tfrecords.reading.augmentation import resampled, transforms

Golden = dict[str, np.ndarray]

PATH = Path(__file__).with_name("tensorflow_addons.npz")


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(PATH) as arrays:
        return dict(arrays)


def test_group_normalisation_of_single_channels_is_instance_normalisation(golden: Golden) -> None:
    inputs = tf.Variable(golden["instance/inputs"])
    layer = GroupNormalization(inputs.shape[-1], float(golden["instance/epsilon"]))
    layer.build(inputs.shape)
    layer.gamma.assign(golden["instance/gamma"])
    layer.beta.assign(golden["instance/beta"])

    with tf.GradientTape() as tape:
        outputs = layer(inputs)
        loss = tf.reduce_sum(outputs * golden["instance/weights"])
    gradient = tape.gradient(loss, inputs)

    np.testing.assert_allclose(outputs, golden["instance/outputs"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, golden["instance/gradient"], rtol=1e-5, atol=1e-5)


def rotate(images: tf.Tensor, angles: tf.Tensor, interpolation: str) -> tf.Tensor:
    """Images [B, H, W, C] about their centres, by the augmentation of slices."""
    size, zeros = tf.shape(images)[1:3], tf.zeros_like(angles)
    ones = tf.ones_like(angles)
    turned = transforms(angles, ones, ones, zeros, zeros, size, size)
    return resampled(images, turned, size, interpolation)


def test_rotates_images_bilinearly(golden: Golden) -> None:
    images = tf.constant(golden["rotation/images"])

    rotated = rotate(images, tf.constant(golden["rotation/angles"]), "bilinear")

    assert rotated.dtype == images.dtype
    np.testing.assert_allclose(rotated, golden["rotation/rotated_images"], rtol=0, atol=1e-5)


def test_rotates_labels_by_the_nearest_voxel(golden: Golden) -> None:
    labels = tf.constant(golden["rotation/labels"])

    rotated = rotate(labels, tf.constant(golden["rotation/angles"]), "nearest")

    assert rotated.dtype == labels.dtype
    np.testing.assert_array_equal(rotated, golden["rotation/rotated_labels"])
