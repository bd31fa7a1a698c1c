"""Maximum pooling of volumes, whose gradient is right wherever it is computed."""

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable("tfadv")
class MaxPooling3D(layers.Layer):
    """The largest of every 2x2x2 voxels, [B, D, H, W, C] to [B, D/2, H/2, W/2, C]; even extents.

    Of equal voxels the first, in the order of (z, y, x), has the gradient, as in PyTorch. The
    kernel of TensorFlow's own layer that is used without oneDNN gives it to each of them whole
    (docs/max_pool3d.md), and in a background of zeros all are equal.
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        batch, depth, height, width, _ = tf.unstack(tf.shape(x))
        channels = int(x.shape[-1])
        # Pairs along x, then y, then z. The gradient of `maximum` goes to its first argument where
        # both are equal.
        x = _pairwise(x, [batch * depth * height * (width // 2), 2, channels])
        x = _pairwise(x, [batch * depth * (height // 2), 2, (width // 2) * channels])
        x = _pairwise(x, [batch * (depth // 2), 2, (height // 2) * (width // 2) * channels])
        return tf.reshape(x, [batch, depth // 2, height // 2, width // 2, channels])

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (shape[0], *(extent and extent // 2 for extent in shape[1:-1]), shape[-1])


def _pairwise(x: tf.Tensor, shape: list[tf.Tensor | int]) -> tf.Tensor:
    first, second = tf.unstack(tf.reshape(x, shape), axis=1)
    return tf.maximum(first, second)
