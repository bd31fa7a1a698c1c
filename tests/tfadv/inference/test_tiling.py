"""Whole volumes from tiles, on networks whose answer is known."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.inference.tiling import SIGMA_SHARE, SlidingWindow, WholeSlices, WholeVolume
from tfadv.networks import moeskops
from tfadv.networks.moeskops import DILATED, FCN, Architecture
from tfadv.networks.normalisation import BatchNormalization


def identity(windows: tf.Tensor) -> tf.Tensor:
    return tf.concat([windows, 2 * windows], axis=-1)


@pytest.mark.parametrize("size", [(4, 4), (8, 16), (4, 4, 4)])
@pytest.mark.parametrize("shape", [(5, 9, 7), (1, 4, 4), (20, 3, 30), (17, 8, 16)])
def test_blending_windows_of_a_pointwise_network_gives_it_back(
    size: tuple[int, ...], shape: tuple[int, int, int]
) -> None:
    image = np.random.default_rng(0).normal(size=(*shape, 1)).astype(np.float32)
    blended = SlidingWindow(size).apply(identity, tf.constant(image), 2)
    np.testing.assert_allclose(blended, np.concatenate([image, 2 * image], -1), atol=1e-5)


@pytest.mark.parametrize("size", [(4, 6), (8, 16), (4, 6, 5)])
@pytest.mark.parametrize("shape", [(5, 9, 7), (1, 4, 4), (11, 3, 23)])
def test_windows_are_blended_as_numpy_does_it(
    size: tuple[int, ...], shape: tuple[int, int, int]
) -> None:
    """A network whose answer tells the places in its window; in a graph that fits any volume."""
    whole = (*(() if len(size) == 3 else (shape[0],)), *size)

    def network(windows: tf.Tensor) -> tf.Tensor:
        ramp = np.arange(np.prod(size), dtype=np.float32).reshape(*size, 1) % 17
        return tf.concat([windows * ramp, windows + ramp], -1)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1])])
    def blended(volume: tf.Tensor) -> tf.Tensor:
        return SlidingWindow(size).apply(network, volume, 2)

    padded = np.maximum(shape, whole)
    before = (padded - shape) // 2
    image = np.random.default_rng(0).normal(size=(*shape, 1)).astype(np.float32)
    volume = np.pad(image, [*zip(before, padded - shape - before, strict=True), (0, 0)])
    distances = [(np.arange(n) - (n - 1) / 2) / (n * SIGMA_SHARE) for n in whole]
    squares = sum(axis**2 for axis in np.meshgrid(*distances, indexing="ij"))
    weights = np.maximum(np.exp(-squares / 2), 1e-3)[..., None]
    total, weight = np.zeros((*padded, 2)), np.zeros((*padded, 1))
    starts = [
        np.rint(np.linspace(0, e - n, int(np.ceil((e - n) / (n / 2))) + 1)).astype(int)
        for e, n in zip(padded, whole, strict=True)
    ]
    for place in itertools.product(*starts):
        box = tuple(slice(start, start + n) for start, n in zip(place, whole, strict=True))
        windows = volume[box] if len(size) == 2 else volume[box][None]
        total[box] += network(windows).numpy().reshape(*whole, 2) * weights
        weight[box] += weights
    inside = tuple(slice(b, b + n) for b, n in zip(before, shape, strict=True))
    np.testing.assert_allclose(blended(image), (total / weight)[inside], atol=2e-5)


def test_one_window_is_the_network_itself() -> None:
    """No blending where the image fits: a network that sees neighbours answers as on the whole."""
    convolution = keras.layers.Conv2D(2, 3, padding="same")
    image = tf.random.stateless_normal([3, 8, 8, 1], [0, 1])
    blended = SlidingWindow((8, 8)).apply(convolution, image, 2)
    np.testing.assert_allclose(blended, convolution(image), atol=1e-5)


def test_centres_of_windows_count_more_than_their_borders() -> None:
    """A network that answers 1 at its window's centre column and 0 elsewhere."""

    def centre(windows: tf.Tensor) -> tf.Tensor:
        column = tf.one_hot([8], 16)[:, None, :, None]
        return tf.broadcast_to(column, tf.shape(windows))

    blended = SlidingWindow((1, 16)).apply(centre, tf.zeros([1, 1, 24, 1]), 1)[0, 0, :, 0]
    # Windows start at 0 and 8: column 8 is the centre of the first, the border of the second.
    assert blended[8] > 0.9
    assert blended[16] > 0.9
    assert np.sum(blended) < 2


@pytest.mark.parametrize("architecture", [FCN, DILATED])
@pytest.mark.slow
def test_whole_slices_equal_every_voxels_own_patch(architecture: Architecture) -> None:
    """Moeskops 2017: the map of a slice is that of the patches around each of its voxels."""
    keras.utils.set_random_seed(1)
    network = moeskops.segmentor(2, 3, architecture, dropout=0.5, momentum=0.9)
    random = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, BatchNormalization):  # As training would leave them.
            layer.moving_mean.assign(random.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.2, 0.8, layer.moving_variance.shape))
    image = random.normal(size=(2, 9, 14, 2)).astype(np.float32)
    margin = architecture.margin

    @tf.function
    def whole(volume: tf.Tensor) -> tf.Tensor:
        return WholeSlices(margin).apply(network, volume, 3)

    found = whole(tf.constant(image)).numpy()
    padded = np.pad(image, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    size = 2 * margin + 1
    patches = [
        padded[z, y : y + size, x : x + size] for z in range(2) for y in range(9) for x in range(14)
    ]
    own = network(tf.constant(np.stack(patches)), training=False).numpy().reshape(found.shape)
    assert np.ptp(own) > 0.01
    np.testing.assert_allclose(found, own, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(-1), own.argmax(-1))


@pytest.mark.parametrize("depth", [1, 16, 21])
def test_whole_slices_are_restacked_in_order(depth: int) -> None:
    image = np.random.default_rng(0).normal(size=(depth, 6, 5, 1)).astype(np.float32)
    found = WholeSlices(2).apply(lambda x: x[:, 2:-2, 2:-2], tf.constant(image), 1)
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("shape", [(5, 9, 7), (1, 4, 4), (8, 16, 8)])
def test_whole_volume_is_padded_to_the_multiple_at_both_sides(shape: tuple[int, ...]) -> None:
    """A network that sees one voxel to each side and what size it is given."""
    sizes = []
    convolution = keras.layers.Conv3D(2, 3, padding="same")

    def network(volume: tf.Tensor) -> tf.Tensor:
        sizes.append([int(extent) for extent in volume.shape[1:4]])
        return convolution(volume)

    image = tf.random.stateless_normal([*shape, 1], [0, 1])
    maps = WholeVolume(4).apply(network, image, 2)
    np.testing.assert_allclose(maps, convolution(image[None])[0], atol=1e-5)
    assert sizes == [[-(-extent // 4) * 4 for extent in shape]]
