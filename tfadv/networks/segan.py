"""The segmentor and the critic of Xue et al. 2018 (SegAN), section 2.2 and Fig. 1."""

import keras
import tensorflow as tf
from keras import layers

from tfadv.networks.normalisation import BatchNormalization
from tfadv.networks.upsampling import LinearUpsampling

LEAKY_SLOPE = 0.2  # Not stated; that of the GANs of its time (Radford et al. 2016).
FACTORS = (1, 2, 4, 8)  # N64, N128, N256, N512
CRITIC_BLOCKS = 3  # 2.3: found by grid search, as are the segmentor's four.
INVISIBLE = -20.0  # A logit: a probability of 2e-9.
EPSILON = 1e-5  # Not stated; Torch's. Keras' 1e-3 outweighs the variances of a clamped critic.
MOMENTUM = 0.9  # Of the moving statistics; Keras' 0.99 lags in short runs.


def segmentor(channels: int, outputs: int, width: int = 64, *, masked: bool = False) -> keras.Model:
    """[B, H, W, channels] to logits [B, H, W, outputs]; H and W are multiples of 16.

    Four 4x4 convolutions of stride 2, then four times: bilinear resize by 2, 3x3 convolution. Skips
    are concatenated, as in the U-net. The last convolution gives the maps.

    Args:
        width: feature maps of the first layer; the paper's 64.
        masked: whether voxels that are zero in all channels belong to no region.
    """
    image = keras.Input((None, None, channels), name="image")
    x = image
    skips = []
    for level, factor in enumerate(FACTORS):
        x = _down(x, width * factor, normalised=level > 0)
        skips.append(x)
    for factor, skip in zip(FACTORS[-2::-1], skips[-2::-1], strict=True):
        x = LinearUpsampling()(x)
        x = layers.Conv2D(width * factor, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(BatchNormalization(MOMENTUM, EPSILON)(x))
        x = layers.Concatenate()([x, skip])
    x = LinearUpsampling()(x)
    x = layers.Conv2D(outputs, 3, padding="same", name="logits")(x)
    # Float32 from here: the convolution itself, 3x3 at the full extent, took half of a step in it.
    logits = layers.Activation("linear", dtype="float32")(x)
    if masked:
        logits = MaskedByImage(dtype="float32")([logits, image])
    return keras.Model(image, logits, name="segmentor")


def segmentors(channels: int, outputs: int, width: int = 64) -> keras.Model:
    """S1: a segmentor of its own for each map, in one network of the same shapes."""
    image = keras.Input((None, None, channels), name="image")
    single = [segmentor(channels, 1, width, masked=True) for _ in range(outputs)]
    for number, network in enumerate(single):
        network.name = f"segmentor_{number}"
    maps = [network(image) for network in single]
    logits = layers.Concatenate(dtype="float32", name="logits")(maps) if outputs > 1 else maps[0]
    return keras.Model(image, logits, name="segmentor")


def critic(
    channels: int, width: int = 64, clamp: float = 0.05, name: str = "critic"
) -> keras.Model:
    """A masked image [B, H, W, channels] to the features of three blocks, H / 2, H / 4 and H / 8.

    Args:
        width: feature maps of the first block; the paper's 64.
        clamp: the largest absolute value of any parameter after an update (2.4): Keras applies
            constraints after each one, on every replica.
    """
    image = keras.Input((None, None, channels), name="masked_image")
    x = image
    features = []
    for level in range(CRITIC_BLOCKS):
        # Momentum 1: a critic always sees batches, so its moving statistics stay as they are.
        x = _down(x, width * FACTORS[level], normalised=level > 0, momentum=1.0)
        features.append(layers.Activation("linear", dtype="float32")(x))
    network = keras.Model(image, features, name=name)
    for variable in network.trainable_variables:
        variable.constraint = Clamp(clamp)
    return network


@keras.saving.register_keras_serializable("tfadv")
class MaskedByImage(layers.Layer):
    """Logits [B, H, W, R] that say no wherever the image [B, H, W, C] is zero in all channels.

    The loss compares images masked by maps (eq. 2): where the image is zero it never sees a map,
    and the segmentor's answer there is arbitrary.
    """

    def call(self, logits_and_image: list[tf.Tensor]) -> tf.Tensor:
        logits, image = logits_and_image
        visible = tf.reduce_any(image != 0, axis=-1, keepdims=True)
        return tf.where(visible, logits, INVISIBLE)


@keras.saving.register_keras_serializable("tfadv")
class Clamp(keras.constraints.Constraint):
    """Clips a variable into [-bound, bound]."""

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def __call__(self, value: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(value, -self.bound, self.bound)

    def get_config(self) -> dict[str, float]:
        return {"bound": self.bound}


def _down(
    x: keras.KerasTensor, maps: int, *, normalised: bool, momentum: float = MOMENTUM
) -> keras.KerasTensor:
    """4x4 convolution of stride 2, batch normalisation except in the first, leaky ReLU."""
    x = layers.Conv2D(maps, 4, 2, padding="same", use_bias=not normalised)(x)
    if normalised:
        x = BatchNormalization(momentum, EPSILON)(x)
    return layers.LeakyReLU(LEAKY_SLOPE)(x)
