"""Augmentation in the graph: images bilinear, labels nearest, zeros from outside."""

from dataclasses import dataclass, field

import tensorflow as tf

from tfrecords.reading.appearance import Appearance, vary
from tfrecords.reading.distortion import displacement, nearest, sampled, zoom_of

# What is folded into an example's seed, so that each is drawn by itself.
ZOOM, ELASTIC, APPEARANCE = 1, 2, 3


@dataclass(frozen=True)
class Augmentation:
    """How training examples are varied: slices in all ways, volumes by scale and what follows it.

    Attributes:
        rotation_rad: angles are drawn from U[-rotation_rad, rotation_rad].
        shift: the crop is moved by U[-shift, shift] voxels in both axes.
        mirror: whether left and right are swapped in half of the cases.
        scale: things grow by a factor from 1 / (1 + scale) to 1 + scale.
        elastic: standard deviation of a smooth random displacement along each axis, voxels.
        appearance: of intensities.
    """

    rotation_rad: float = 0.0
    shift: float = 0.0
    mirror: bool = False
    scale: float = 0.0
    elastic: float = 0.0
    appearance: Appearance = field(default_factory=Appearance)

    @property
    def turned(self) -> bool:
        """Whether it rotates, shifts or mirrors."""
        return bool(self.rotation_rad or self.shift or self.mirror)

    @property
    def varied(self) -> bool:
        """Whether it scales, deforms or changes intensities."""
        return bool(self.scale or self.elastic or self.appearance.changes)

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Axes of a volume [Z, Y, X, C] along which examples are mirrored."""
        return (2,) if self.mirror else ()


def augment(
    image: tf.Tensor,
    label: tf.Tensor,
    size: tuple[int, int],
    augmentation: Augmentation,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A randomly rotated, shifted, mirrored, scaled and deformed crop; one resampling for all.

    Args:
        image: float32 [Y, X, C].
        label: uint8 [Y, X].
        size: height and width of the crop. Where the slice is smaller it is padded with zeros.
        seed: int64 [2], of this example alone.

    Returns:
        float32 [*size, C] and uint8 [*size].
    """
    draws = tf.random.stateless_uniform([4], seed, -1.0, 1.0)
    angle = draws[:1] * augmentation.rotation_rad
    shift_y = tf.round(draws[1:2] * augmentation.shift)
    shift_x = tf.round(draws[2:3] * augmentation.shift)
    mirror = tf.where(draws[3:] < 0, -1.0, 1.0) if augmentation.mirror else tf.ones([1])
    zoom = zoom_of(augmentation.scale, folded(seed, ZOOM)) if augmentation.scale else tf.ones([1])
    rows = transforms(angle, mirror, zoom, shift_y, shift_x, tf.shape(label), tf.constant(size))
    if augmentation.elastic:
        moved = displacement(size, augmentation.elastic, folded(seed, ELASTIC))
        places = _places(rows[0], size) + moved
        image, label = sampled(image, places), nearest(label, places)
    else:
        image = resampled(image[None], rows, size, "bilinear")[0]
        label = resampled(label[None, ..., None], rows, size, "nearest")[0, ..., 0]
    image.set_shape([*size, image.shape[-1]])
    label.set_shape(size)
    return vary(image, augmentation.appearance, folded(seed, APPEARANCE)), label


def folded(seed: tf.Tensor, number: int) -> tf.Tensor:
    """Another seed of the same example."""
    return tf.random.experimental.stateless_fold_in(seed, number)


def _places(row: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Where a crop's pixels lie in the source: (y, x) [*size, 2], by a row of `transforms`."""
    y, x = tf.meshgrid(*(tf.range(side, dtype=tf.float32) for side in size), indexing="ij")
    a0, a1, a2, b0, b1, b2 = tf.unstack(row[:6])
    return tf.stack([b0 * x + b1 * y + b2, a0 * x + a1 * y + a2], axis=-1)


def random_crop(
    image: tf.Tensor, label: tf.Tensor, size: tuple[int, ...], seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """A crop at a random place of a volume, all places alike.

    Args:
        image: [Z, Y, X, C], any type.
        label: uint8 [Z, Y, X].
        size: (depth, height, width). Where the volume is smaller it is padded with zeros alike at
            both sides.
        seed: int64 [2], of this example alone.

    Returns:
        [*size, C] of the image's type, and uint8 [*size].
    """
    extent = tf.shape(label)
    missing = tf.maximum(tf.constant(size) - extent, 0)
    before = missing // 2
    padding = tf.stack([before, missing - before], axis=1)
    room = tf.maximum(extent - tf.constant(size), 0)
    draws = tf.random.stateless_uniform([len(size)], seed)
    start = tf.cast(draws * tf.cast(room + 1, tf.float32), tf.int32)
    crop = tf.slice(label, start, tf.minimum(extent, size))
    cut = tf.slice(image, tf.concat([start, [0]], 0), tf.concat([tf.shape(crop), [-1]], 0))
    return (
        tf.ensure_shape(tf.pad(cut, tf.concat([padding, [[0, 0]]], 0)), [*size, image.shape[-1]]),
        tf.ensure_shape(tf.pad(crop, padding), size),
    )


def transforms(
    angles: tf.Tensor,
    mirrors: tf.Tensor,
    zooms: tf.Tensor,
    shifts_y: tf.Tensor,
    shifts_x: tf.Tensor,
    source_size: tf.Tensor,
    crop_size: tf.Tensor,
) -> tf.Tensor:
    """Rows (a0, a1, a2, b0, b1, b2, 0, 0) that take a crop's pixel (x, y) to the source's.

    x' = a0 x + a1 y + a2 and y' = b0 x + b1 y + b2: mirrored, rotated and scaled about the crop's
    centre, which lies on the source's centre moved by the shifts.
    """
    # Whole voxels between the two centres, so that without rotation nothing is interpolated.
    offset = tf.cast((source_size - crop_size) // 2, tf.float32)
    centre_y, centre_x = tf.unstack(tf.cast(crop_size - 1, tf.float32) / 2)
    cos, sin = tf.cos(angles) / zooms, tf.sin(angles) / zooms
    a0, a1 = cos * mirrors, -sin
    b0, b1 = sin * mirrors, cos
    a2 = centre_x + offset[1] + shifts_x - a0 * centre_x - a1 * centre_y
    b2 = centre_y + offset[0] + shifts_y - b0 * centre_x - b1 * centre_y
    zeros = tf.zeros_like(angles)
    return tf.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1)


def resampled(
    images: tf.Tensor,
    transforms: tf.Tensor,
    size: tf.Tensor | tuple[int, int],
    interpolation: str,
) -> tf.Tensor:
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=size,
        fill_value=0.0,
        interpolation=interpolation.upper(),
        fill_mode="CONSTANT",
    )
