"""The 3D U-Net and the critic of Peiris et al. 2021, section 4.1."""

from functools import partial

import keras
from keras import layers

from tfadv.networks.group_normalisation import GroupNormalization
from tfadv.networks.normalisation import BatchNormalization
from tfadv.networks.pooling import MaxPooling3D
from tfadv.networks.recomputation import Blocks, Recomputing
from tfadv.networks.upsampling import LinearUpsampling

LEVELS = 5  # "five layers including bottleneck"
GROUPS = 8  # Of the normalisation; not stated.
LEAKY_SLOPE = 0.2  # Not stated; that of Isola et al. 2017, whom the critic follows.
CRITIC_LAYERS = 4
EPSILON = 1e-5  # Of all normalisations: not stated; PyTorch's, which the paper uses.
# Levels from this one on compute in float32: TensorFlow 2.21 on CPUs gives garbage as gradient of a
# 3x3x3 kernel in bfloat16 where the depth is 2, which crops of 16 and 32 voxels reach here.
FLOAT32_FROM = 3


def segmentor(
    channels: int, outputs: int, width: int = 48, *, recompute: bool = False
) -> keras.Model:
    """[B, D, H, W, channels] to logits [B, D, H, W, outputs]; D, H and W are multiples of 16.

    Args:
        width: feature maps of the first level, which double at each; the paper's 48.
        recompute: whether training keeps the convolutions' results after ReLU alone, and computes
            all between them a second time for gradients.
    """
    image = keras.Input((None, None, None, channels), name="image")
    blocks = Blocks()
    x = image
    skips = []
    for level in range(LEVELS):
        if level:
            skips.append(x)
        x = blocks.add(partial(_down, width=width, level=level), x)
        x = blocks.add(partial(_convolution, width=width, level=level), x)
    for level in reversed(range(LEVELS - 1)):
        x = blocks.add(partial(_up, width=width, level=level), x)
        x = blocks.add(partial(_joined, width=width, level=level), skips[level], x)
        x = blocks.add(partial(_convolution, width=width, level=level), x)
    logits = blocks.add(layers.Conv3D(outputs, 1, dtype="float32", name="logits"), x)
    if recompute:
        return Recomputing(image, blocks, name="segmentor")
    return keras.Model(image, logits, name="segmentor")


def critic(outputs: int, width: int = 48) -> keras.Model:
    """Maps [B, D, H, W, outputs] in [0, 1] to one logit per voxel, [B, D, H, W, 1].

    Args:
        width: feature maps of the inner layers; not stated: those of the segmentor's first level.
    """
    maps = keras.Input((None, None, None, outputs), name="maps")
    x = maps
    for _ in range(CRITIC_LAYERS - 1):
        x = layers.Conv3D(width, 3, padding="same", use_bias=False)(x)
        # Momentum 1: a critic always sees batches, so its moving statistics stay as they are.
        x = BatchNormalization(1.0, EPSILON)(x)
        x = layers.LeakyReLU(LEAKY_SLOPE)(x)
    x = layers.Conv3D(1, 3, padding="same", name="logits")(x)
    # Float32 from here; the convolution itself is slow in it.
    logits = layers.Activation("linear", dtype="float32")(x)
    return keras.Model(maps, logits, name="critic")


def _down(x: keras.KerasTensor, width: int, level: int) -> keras.KerasTensor:
    """The first convolution of an encoder's level, of the level above."""
    return _convolution(MaxPooling3D()(x) if level else x, width, level)


def _up(x: keras.KerasTensor, width: int, level: int) -> keras.KerasTensor:
    """The first convolution of a decoder's level, of the level below."""
    return _convolution(LinearUpsampling()(x), width, level)


def _joined(
    skip: keras.KerasTensor, x: keras.KerasTensor, width: int, level: int
) -> keras.KerasTensor:
    return _convolution(layers.Concatenate()([skip, x]), width, level)


def _convolution(x: keras.KerasTensor, width: int, level: int) -> keras.KerasTensor:
    """3x3x3 convolution, group normalisation, ReLU."""
    maps = width * 2**level
    dtype = "float32" if level >= FLOAT32_FROM else None
    x = layers.Conv3D(maps, 3, padding="same", use_bias=False, dtype=dtype)(x)
    normalised = GroupNormalization(min(GROUPS, maps), EPSILON, dtype=dtype)(x)
    return layers.ReLU()(normalised)
