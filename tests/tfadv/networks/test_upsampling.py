"""Linear upsampling against SciPy's zoom, which aligns voxels' borders alike."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfadv.networks.upsampling import LinearUpsampling


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 5), (1, 2, 3)])
def test_equals_zoom_of_order_1(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype(np.float32)
    factors = (1, *[2] * len(shape), 1)
    expected = ndimage.zoom(x, factors, order=1, mode="nearest", grid_mode=True)
    found = LinearUpsampling()(x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.shape == expected.shape


def test_unknown_extents_double_in_a_graph_and_keep_the_precision() -> None:
    image = keras.Input((None, 6, None, 2), dtype="bfloat16")
    network = keras.Model(image, LinearUpsampling(dtype="bfloat16")(image))
    assert network.output_shape == (None, None, 12, None, 2)
    found = tf.function(network)(tf.ones([1, 3, 6, 4, 2], tf.bfloat16))
    assert found.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(found, tf.float32), np.ones([1, 6, 12, 8, 2]))
