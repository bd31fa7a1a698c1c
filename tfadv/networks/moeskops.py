"""The segmentors and the discriminator of Moeskops et al. 2017, section 2.2 and Fig. 1.

All convolutions are valid: maps shrink by the receptive field. "Batch normalisation is used on all
layers": between convolution and ReLU, on all but the output layers (ours: the paper does not say).
"""

from dataclasses import dataclass

import keras
from keras import layers

from tfadv.networks.convolution import Conv2D
from tfadv.networks.dropout import KINDS, Dropout, told_whether_to_drop
from tfadv.networks.normalisation import BatchNormalization
from tfadv.networks.precision import in_float32

KERNELS = 32
LABEL_SIZE = 21  # Of training patches; the discriminator's layers fit no other.
DISCRIMINATOR_SIZE = 25  # Of the image that its two layers bring to LABEL_SIZE.
DENSE = 256  # Nodes of the discriminator's fully connected layer.
EPSILON = 1e-3  # Of batch normalisation: not stated; Keras'.


@dataclass(frozen=True)
class Architecture:
    """A segmentor of Fig. 1.

    Attributes:
        dilations: of the 3x3 layers, one after another.
        hidden: kernels of the 1x1 layer before the output; 0 for none.
    """

    dilations: tuple[int, ...]
    hidden: int

    @property
    def margin(self) -> int:
        """Voxels that an output voxel sees in each direction, and that maps lose at each border."""
        return sum(self.dilations)


FCN = Architecture(dilations=(1,) * 15, hidden=256)
DILATED = Architecture(dilations=(1, 1, 2, 4, 8, 16, 1), hidden=0)


def segmentor(
    channels: int,
    classes: int,
    architecture: Architecture,
    dropout: float,
    momentum: float,
    dropout_kind: str = "voxels",
) -> keras.Model:
    """[B, H, W, channels] to logits [B, H - 2 margin, W - 2 margin, classes], of any H and W.

    A pass in training drops nothing if it says `dropping=False`.

    Args:
        dropout: share of what the 1x1 layers receive that training drops.
        momentum: of the moving statistics.
        dropout_kind: one of KINDS: single voxels of maps, or whole maps of a sample.
    """
    noise_shape = KINDS[dropout_kind]
    image = keras.Input((None, None, channels), name="image")
    x = image
    for dilation in architecture.dilations:
        x = _activated(Conv2D(KERNELS, 3, dilation_rate=dilation)(x), momentum)
    if architecture.hidden:
        x = Dropout(dropout, noise_shape=noise_shape)(x)
        x = _activated(Conv2D(architecture.hidden, 1)(x), momentum)
    x = Dropout(dropout, noise_shape=noise_shape)(x)
    logits = layers.Conv2D(classes, 1, dtype="float32", name="logits")(x)
    return told_whether_to_drop(keras.Model(image, logits, name="segmentor"))


# In bfloat16, what the segmentors learn from it has a cosine of 0.76 to 0.97 with that in float32
# after 20 to 200 steps; with its pass forward alone in float32 as good a one as all in float32,
# 0.89 to 0.99, for 3 to 4 % of the step's time instead of 7 %.
def discriminator(channels: int, classes: int, momentum: float) -> keras.Model:
    """[image [B, 25, 25, channels], label map [B, 21, 21, classes]] to logits [B, 2]."""
    policy = keras.config.dtype_policy().compute_dtype
    gradient_dtype = policy if policy == "bfloat16" else None
    with in_float32():
        return _discriminator(channels, classes, momentum, gradient_dtype)


def _discriminator(
    channels: int, classes: int, momentum: float, gradient_dtype: str | None
) -> keras.Model:
    image = keras.Input((DISCRIMINATOR_SIZE, DISCRIMINATOR_SIZE, channels), name="image")
    label_map = keras.Input((LABEL_SIZE, LABEL_SIZE, classes), name="label_map")

    def convolutions(x: keras.KerasTensor, number: int) -> keras.KerasTensor:
        for _ in range(number):
            x = _activated(Conv2D(KERNELS, 3, gradient_dtype=gradient_dtype)(x), momentum)
        return x

    x = layers.Concatenate()([convolutions(image, 2), label_map])
    x = layers.MaxPooling2D(3)(convolutions(x, 3))
    x = layers.Flatten()(convolutions(x, 2))
    x = _activated(layers.Dense(DENSE)(x), momentum)
    logits = layers.Dense(2, name="logits")(x)
    return keras.Model([image, label_map], logits, name="discriminator")


def _activated(x: keras.KerasTensor, momentum: float) -> keras.KerasTensor:
    return layers.ReLU()(BatchNormalization(momentum, EPSILON)(x))
