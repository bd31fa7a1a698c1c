"""The segmentor and the discriminator of Kohl et al. 2017, "Network Architectures"."""

import keras
from keras import layers

from tfadv.networks.group_normalisation import GroupNormalization
from tfadv.networks.leaky_relu import LeakyReLU
from tfadv.networks.upsampling import NearestUpsampling

LEAKY_SLOPE = 0.2  # Not stated; that of Isola et al. 2017, whom the paper follows.
EPSILON = 1e-5  # Not stated; the usual one of instance normalisation.
DISCRIMINATOR_FACTORS = (1, 2, 4, 8, 8, 16)  # CL64-CL128-CL256-CL512-CL512-CL1024
SEGMENTOR_LEVELS = 5  # CL64-CL128-CL256-CL512-CL1024


def segmentor(channels: int, classes: int, width: int = 64, convolutions: int = 1) -> keras.Model:
    """A U-Net of five levels: [B, H, W, channels] to logits [B, H, W, classes].

    H and W are multiples of 16. Between the levels of the encoder stands 2x2 max-pooling, between
    those of the decoder 2x nearest-neighbour upsampling; skips are concatenated (not stated, ours).

    Args:
        width: filters of the first level; the paper's 64.
        convolutions: 3x3 layers per level; the paper's 1.
    """
    image = keras.Input((None, None, channels), name="image")
    x = image
    skips = []
    for level in range(SEGMENTOR_LEVELS):
        if level:
            skips.append(x)
            x = layers.MaxPooling2D()(x)
        for number in range(convolutions):
            # No normalisation in the first layer.
            x = _convolution(x, width * 2**level, leaky=True, normalised=bool(level or number))
    for level in reversed(range(SEGMENTOR_LEVELS - 1)):
        x = layers.Concatenate()([NearestUpsampling()(x), skips[level]])
        for _ in range(convolutions):
            x = _convolution(x, width * 2**level, leaky=False)
    logits = layers.Conv2D(classes, 1, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name="segmentor")


def discriminator(
    channels: int,
    classes: int,
    width: int = 64,
    poolings: int = 5,
    noise: float = 0.0,
    *,
    last_normalised: bool = False,
) -> keras.Model:
    """[image [B, H, W, channels], label map [B, H, W, classes]] to one logit per pair, [B, 1].

    Args:
        width: filters of the first layer; the paper's 64.
        poolings: layers, from the second on, that 2x2 max-pooling precedes (not stated, ours).
            Instance normalisation erases what the last maps say if they are only a few voxels
            large: the paper's 416x416 leave 13x13 after 5 poolings.
        noise: standard deviation of what is added to the label map in training (ours).
        last_normalised: whether the last convolution has instance normalisation, which takes
            away the mean that the global pooling after it looks at.
    """
    image = keras.Input((None, None, channels), name="image")
    label_map = keras.Input((None, None, classes), name="label_map")
    noisy = layers.GaussianNoise(noise)(label_map) if noise else label_map
    x = layers.Concatenate()([image, noisy])
    for level, factor in enumerate(DISCRIMINATOR_FACTORS):
        if 0 < level <= poolings:
            x = layers.MaxPooling2D(padding="same")(x)
        last = level == len(DISCRIMINATOR_FACTORS) - 1
        normalised = last_normalised if last else level > 0
        x = _convolution(x, width * factor, leaky=True, normalised=normalised)
    x = layers.GlobalAveragePooling2D(dtype="float32")(x)
    logit = layers.Dense(1, dtype="float32", name="logit")(x)
    return keras.Model([image, label_map], logit, name="discriminator")


def _convolution(
    x: keras.KerasTensor, filters: int, *, leaky: bool, normalised: bool = True
) -> keras.KerasTensor:
    """The paper's CLk (leaky) and Ck: 3x3 convolution, instance normalisation, (leaky) ReLU."""
    x = layers.Conv2D(filters, 3, padding="same", use_bias=not normalised)(x)
    if normalised:
        x = GroupNormalization(filters, EPSILON)(x)
    return LeakyReLU(LEAKY_SLOPE)(x) if leaky else layers.ReLU()(x)
