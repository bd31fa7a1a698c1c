"""Against the fields that papers state, or arithmetic gives."""

import keras
import pytest
from keras import layers

from tfadv.methods.receptive_field import receptive_field


def stack(*built: keras.Layer, axes: int = 2) -> keras.Model:
    image = keras.Input((None,) * axes + (2,))
    x = image
    for layer in built:
        x = layer(x)
    return keras.Model(image, x)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (stack(layers.Conv2D(4, 3)), 3),
        # Moeskops 2017: 15 valid 3x3 layers see 31, dilations 1, 1, 2, 4, 8, 16, 1 see 67.
        (stack(*(layers.Conv2D(4, 3, activation="relu") for _ in range(15))), 31),
        (stack(*(layers.Conv2D(4, 3, dilation_rate=d) for d in (1, 1, 2, 4, 8, 16, 1))), 67),
        (stack(layers.Conv2D(4, 3), layers.GroupNormalization(-1), layers.ReLU()), 3),
        (stack(layers.Conv2D(4, 3, padding="same"), layers.MaxPooling2D(), layers.Conv2D(1, 3)), 8),
        (stack(layers.Conv3D(4, 3), layers.Conv3D(4, 3), axes=3), 5),
    ],
)
def test_receptive_field(network: keras.Model, expected: int) -> None:
    assert receptive_field(network) == expected
