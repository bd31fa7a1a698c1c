"""How far a segmentor sees, measured by the gradient of one output voxel."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfadv.networks.group_normalisation import GroupNormalization
from tfadv.networks.pooling import MaxPooling3D

# Of the probe image, by the number of axes: along the last, larger than any receptive field.
# Networks of volumes pad, so that a thin one is enough.
EXTENT = {2: (448, 448), 3: (32, 32, 448)}
TRANSPARENT = (
    layers.ReLU,
    layers.LeakyReLU,
    layers.Activation,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GroupNormalization,
    GroupNormalization,
)
POOLING = {
    layers.MaxPooling2D: layers.AveragePooling2D,
    MaxPooling3D: layers.AveragePooling3D,
}


def receptive_field(segmentor: keras.Model) -> int:
    """Voxels along an axis from which the central output voxel's logits can depend.

    Instance and batch normalisation, through which in training every voxel depends on every other,
    do not count.

    Args:
        segmentor: convolutional, input [B, ..., C] of any size.
    """
    probe = keras.models.clone_model(segmentor, clone_function=_transparent)
    for variable in probe.trainable_variables:
        fan_in = np.prod(variable.shape[:-1])
        variable.assign(tf.fill(variable.shape, 1.0 / max(fan_in, 1.0)))
    axes = len(segmentor.input_shape) - 2
    image = tf.ones([1, *EXTENT[axes], segmentor.input_shape[-1]])
    with tf.GradientTape() as tape:
        tape.watch(image)
        output = probe(image)
        centre = output[(0, *(extent // 2 for extent in output.shape[1:-1]))]
    seen = tape.gradient(centre, image)[0] != 0
    along_last = tf.where(tf.reduce_any(seen, axis=[*range(axes - 1), axes]))[:, 0]
    return int(along_last[-1] - along_last[0] + 1)


def _transparent(layer: keras.Layer) -> keras.Layer:
    """The layer with the same geometry, linear, averaging, of one filter, in float32.

    Batch normalisation stays: outside training it is linear, voxel by voxel.
    """
    config: dict[str, Any] = layer.get_config() | {"dtype": "float32"}
    if isinstance(layer, TRANSPARENT):
        return layers.Identity(name=layer.name)
    for pooling, averaging in POOLING.items():
        if isinstance(layer, pooling):
            kept = {"name", "dtype", "pool_size", "strides", "padding"} & config.keys()
            # Ours is always of two voxels.
            return averaging(**{"pool_size": 2, **{name: config[name] for name in kept}})
    if "filters" in config:
        config["filters"] = 1
    return type(layer).from_config(config)
