"""Upsampling by two: linear, and of slices by the nearest voxel."""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable("tfadv")
class LinearUpsampling(layers.Layer):
    """[B, H, W, C] or [B, D, H, W, C] to twice the extent along every spatial axis.

    Bilinear or trilinear, with voxels' centres in their places, as `tf.image.resize` does it. Keras
    lacks it in 3D, and cannot export it in 2D for unknown sizes.
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        # TensorFlow resizes in float32 alone: of others the way there and back takes longer.
        resized = _resized(x) if x.dtype == tf.float32 else _multiplied(x)
        resized.set_shape(self.compute_output_shape(tuple(x.shape)))
        return resized

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (shape[0], *(extent and 2 * extent for extent in shape[1:-1]), shape[-1])


def _resized(x: tf.Tensor) -> tf.Tensor:
    *extents, height, width, channels = tf.unstack(tf.shape(x))
    if len(extents) == 1:
        return tf.image.resize(x, [2 * height, 2 * width])
    batch, depth = extents
    planes = tf.reshape(x, [batch * depth, height, width, channels])
    planes = tf.image.resize(planes, [2 * height, 2 * width])
    # All voxels of a plane as one axis, which keeps its extent.
    area = 4 * height * width
    columns = tf.reshape(planes, [batch, depth, area, channels])
    columns = tf.image.resize(columns, [2 * depth, area])
    return tf.reshape(columns, [batch, 2 * depth, 2 * height, 2 * width, channels])


def _multiplied(x: tf.Tensor) -> tf.Tensor:
    """The same by a product with a matrix along each axis, rounded after each."""
    shape = tf.unstack(tf.shape(x))
    for axis in reversed(range(1, len(shape) - 1)):
        extent = shape[axis]
        lines = tf.reshape(x, [-1, extent, tf.reduce_prod(shape[axis + 1 :])])
        x = tf.matmul(_doubling(extent, x.dtype), lines)
        shape[axis] = 2 * extent
    return tf.reshape(x, shape)


def _doubling(extent: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """[2 N, N]: a voxel is three quarters of the one it lies in, and a quarter of the nearer
    neighbour, at the border of itself."""
    voxel = tf.range(2 * extent)
    own = voxel // 2
    neighbour = tf.clip_by_value(own + 2 * (voxel % 2) - 1, 0, extent - 1)
    return 0.75 * tf.one_hot(own, extent, dtype=dtype) + 0.25 * tf.one_hot(
        neighbour, extent, dtype=dtype
    )


@keras.saving.register_keras_serializable("tfadv")
class NearestUpsampling(layers.Layer):
    """[B, H, W, C] to twice the extent along both axes: each voxel becomes four.

    As Keras' `UpSampling2D`, by one operation instead of a hundred.
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        resized = _nearest(x)
        resized.set_shape(self.compute_output_shape(tuple(x.shape)))
        return resized

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, channels = shape
        return batch, height and 2 * height, width and 2 * width, channels


@tf.custom_gradient
def _nearest(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """With a gradient of ours: of its own, GPUs have none that gives equal bits each time."""

    def gradient(dy: tf.Tensor) -> tf.Tensor:
        return 4.0 * tf.nn.avg_pool2d(dy, 2, 2, "VALID")

    known = x.shape[1:3].is_fully_defined()
    size = [2 * extent for extent in x.shape[1:3]] if known else 2 * tf.shape(x)[1:3]
    return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size), gradient
