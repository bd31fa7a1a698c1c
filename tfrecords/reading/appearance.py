"""How an example's intensities are varied: noise, blur, brightness, contrast, gamma, resolution.

Images are normalised, [Y, X, C] or [Z, Y, X, C]; each channel is varied on its own. Voxels that are
zero, the background, stay zero, and count in no mean.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import tensorflow as tf

# Of a Gaussian, in standard deviations: what lies beyond counts nothing.
TRUNCATE = 3.0
Effect = Callable[[tf.Tensor, float, tf.Tensor], tf.Tensor]  # (image, amount, seed) to image.


@dataclass(frozen=True)
class Appearance:
    """What is drawn for each example and channel; 0 leaves an effect out.

    Attributes:
        low_resolution: voxels are larger by a factor from U[1, 1 + low_resolution].
        blur: Gaussian, of a standard deviation from U[0, blur] voxels.
        noise: Gaussian, of a standard deviation from U[0, noise].
        brightness: intensities times a factor from U[1 - brightness, 1 + brightness].
        contrast: their distances to the mean times a factor from U[1 - contrast, 1 + contrast],
            cut to the range that they had.
        gamma: within their range, to the power exp(U[-log(1 + gamma), log(1 + gamma)]).
        share: of the examples that each of them varies.
    """

    low_resolution: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    share: float = 0.2

    @property
    def changes(self) -> bool:
        """Whether there is any effect."""
        return any(getattr(self, name) for name in EFFECTS)


def vary(image: tf.Tensor, appearance: Appearance, seed: tf.Tensor) -> tf.Tensor:
    """An image under the effects, in the order of `Appearance`.

    Args:
        image: float32 [..., C].
        seed: int64 [2], of this example alone.
    """
    amounts = asdict(appearance)
    varied = image
    for number, (name, effect) in enumerate(EFFECTS.items()):
        if amounts[name]:
            own = tf.random.experimental.stateless_fold_in(seed, 2 * number)
            lot = tf.random.stateless_uniform([], own)
            drawn = tf.random.experimental.stateless_fold_in(seed, 2 * number + 1)
            varied = tf.cond(
                lot < appearance.share,
                lambda effect=effect, before=varied, amount=amounts[name], drawn=drawn: effect(
                    before, amount, drawn
                ),
                lambda before=varied: before,
            )
    if varied is image:
        return image
    varied = tf.where(image == 0, 0.0, varied)
    return tf.ensure_shape(varied, image.shape)


def _uniform(image: tf.Tensor, seed: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """A number for each channel, [C]."""
    return tf.random.stateless_uniform([image.shape[-1]], seed, low, high)


def lowered(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Of voxels larger by a factor [C]: the nearest ones are kept, and interpolated linearly."""
    channels = []
    for channel, times in zip(tf.unstack(image, axis=-1), tf.unstack(factor), strict=True):
        for axis in range(len(channel.shape)):
            channel = _lowered_along(channel, axis, times)
        channels.append(channel)
    return tf.stack(channels, axis=-1)


def _lowered_along(channel: tf.Tensor, axis: int, factor: tf.Tensor) -> tf.Tensor:
    extent = tf.shape(channel)[axis]
    count = tf.maximum(1, tf.cast(tf.round(tf.cast(extent, tf.float32) / factor), tf.int32))
    step = tf.cast(extent, tf.float32) / tf.cast(count, tf.float32)
    kept = tf.cast((tf.range(count, dtype=tf.float32) + 0.5) * step, tf.int32)
    place = (tf.range(extent, dtype=tf.float32) + 0.5) / step - 0.5
    place = tf.clip_by_value(place, 0.0, tf.cast(count - 1, tf.float32))
    below = tf.cast(place, tf.int32)
    above = tf.minimum(below + 1, count - 1)
    weight = place - tf.cast(below, tf.float32)
    weight = tf.reshape(weight, [-1 if a == axis else 1 for a in range(len(channel.shape))])
    first, second = (tf.gather(channel, tf.gather(kept, at), axis=axis) for at in (below, above))
    return (1 - weight) * first + weight * second


def blurred(image: tf.Tensor, sigma: tf.Tensor, most: float) -> tf.Tensor:
    """Under Gaussians of standard deviations [C], at most `most`, mirrored at the edges."""
    radius = int(TRUNCATE * most + 0.5)
    places = tf.range(-radius, radius + 1, dtype=tf.float32)
    # Narrow ones keep the voxel as it is, and divide by no zero.
    weights = tf.exp(-0.5 * (places[:, None] / tf.maximum(sigma, 1e-3)) ** 2)
    weights /= tf.reduce_sum(weights, axis=0)
    for axis in range(len(image.shape) - 1):
        parts = [
            weights[radius + step] * tf.gather(image, _mirrored(image, axis, step), axis=axis)
            for step in range(-radius, radius + 1)
        ]
        image = tf.add_n(parts)
    return image


def _mirrored(image: tf.Tensor, axis: int, step: int) -> tf.Tensor:
    """Where the voxel so many steps on lies, however small the image: edges are mirrors."""
    extent = tf.shape(image)[axis]
    place = tf.math.floormod(tf.range(extent) + step, 2 * extent)
    return tf.where(place < extent, place, 2 * extent - 1 - place)


def stretched(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Distances to the mean times a factor [C], cut to the range of before."""
    mean, low, high = _statistics(image)
    return tf.clip_by_value(mean + factor * (image - mean), low, high)


def curved(image: tf.Tensor, exponent: tf.Tensor) -> tf.Tensor:
    """To powers [C], within the range, whose ends stay."""
    _, low, high = _statistics(image)
    span = tf.maximum(high - low, 1e-6)
    share = tf.clip_by_value((image - low) / span, 0.0, 1.0)
    return low + span * share**exponent


def _statistics(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean, least and largest intensity [C] of what is not background."""
    axes = list(range(len(image.shape) - 1))
    body = image != 0
    count = tf.reduce_sum(tf.cast(body, tf.float32), axes)
    mean = tf.reduce_sum(image, axes) / tf.maximum(count, 1.0)
    low = tf.reduce_min(tf.where(body, image, image.dtype.max), axes)
    high = tf.reduce_max(tf.where(body, image, image.dtype.min), axes)
    # Of a channel that is all background, nothing is low or high.
    return mean, tf.where(count > 0, low, 0.0), tf.where(count > 0, high, 0.0)


def _low_resolution(image: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    return lowered(image, _uniform(image, seed, 1.0, 1.0 + amount))


def _blur(image: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    return blurred(image, _uniform(image, seed, 0.0, amount), amount)


def _noise(image: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    deviation = _uniform(image, seed, 0.0, amount)
    drawn = tf.random.experimental.stateless_fold_in(seed, 1)
    return image + deviation * tf.random.stateless_normal(tf.shape(image), drawn)


def _brightness(image: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    return image * _uniform(image, seed, 1.0 - amount, 1.0 + amount)


def _contrast(image: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    return stretched(image, _uniform(image, seed, 1.0 - amount, 1.0 + amount))


def _gamma(image: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    bound = math.log1p(amount)
    return curved(image, tf.exp(_uniform(image, seed, -bound, bound)))


EFFECTS: dict[str, Effect] = {
    "low_resolution": _low_resolution,
    "blur": _blur,
    "noise": _noise,
    "brightness": _brightness,
    "contrast": _contrast,
    "gamma": _gamma,
}
