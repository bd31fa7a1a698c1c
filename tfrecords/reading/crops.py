"""What training sees of a stored example: a normalised crop of it, by view."""

from collections.abc import Callable
from functools import singledispatch

import tensorflow as tf

from tfrecords.reading.appearance import vary
from tfrecords.reading.augmentation import (
    APPEARANCE,
    ZOOM,
    Augmentation,
    augment,
    folded,
    random_crop,
)
from tfrecords.reading.distortion import distorted, window_of
from tfrecords.records.views import Patches, Slices, View, Volumes

Normalise = Callable[[tf.Tensor], tf.Tensor]  # An image as stored, or a part of it.
# (image as stored, label, its normalisation, int64 [2] seed of this example alone) to the crops of
# the normalised image and of the label.
Crop = Callable[[tf.Tensor, tf.Tensor, Normalise, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


# (a volume's image as stored [Z, Y, X, C], its label [Z, Y, X], int64 [2] seed) to an example's.
FromVolume = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@singledispatch
def from_volume(view: View) -> FromVolume:
    """How to cut an example of a view, as a record set of it holds one, from a whole volume.

    Anywhere in the body's box, with the same chance.
    """
    raise TypeError(f"view: expected one that can be cut. Received: {view!r}")


@from_volume.register
def _(view: Volumes) -> FromVolume:
    return lambda image, label, seed: (image, label)


@from_volume.register
def _(view: Slices) -> FromVolume:
    def one(image: tf.Tensor, label: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        (z,) = _anywhere(tf.shape(image)[:1], seed)
        return image[z], label[z]

    return one


@from_volume.register
def _(view: Patches) -> FromVolume:
    """As large as the view's, with zeros beyond the volume, the label of its centre alone."""
    rim, inner = view.patch_size // 2, view.label_size // 2

    def one(image: tf.Tensor, label: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        z, y, x = _anywhere(tf.shape(label), seed)
        size = view.patch_size
        image = tf.pad(image[z], [[rim, rim], [rim, rim], [0, 0]])[y : y + size, x : x + size]
        size = view.label_size
        label = tf.pad(label[z], [[inner, inner]] * 2)[y : y + size, x : x + size]
        return image, label

    return one


def _anywhere(extents: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
    """A place along each axis, drawn by a seed that crops and augmentation do not use."""
    seed = tf.stack([seed[0], -1 - seed[1]])
    drawn = tf.random.stateless_uniform(tf.shape(extents), seed)
    place = tf.cast(drawn * tf.cast(extents, tf.float32), tf.int32)
    return tf.unstack(tf.minimum(place, extents - 1), extents.shape[0])


@singledispatch
def crop_of(view: View, stored: View, size: tuple[int, ...], augmentation: Augmentation) -> Crop:
    """How to crop examples of a view.

    Args:
        view: the wanted one.
        stored: the record set's, which serves it.
        size: of the crop of a slice (height, width) or a volume (depth, height, width).
        augmentation: what varies the crop, as far as the view allows it.
    """
    raise TypeError(f"view: expected one that can be cropped. Received: {view!r}")


@crop_of.register
def _(view: Slices, stored: View, size: tuple[int, ...], augmentation: Augmentation) -> Crop:
    height, width = size

    def turned(
        image: tf.Tensor, label: tf.Tensor, normalise: Normalise, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # Normalised first: of raw intensities, interpolation would mix background into the rim.
        return augment(normalise(image), label, (height, width), augmentation, seed)

    return turned


@crop_of.register
def _(view: Volumes, stored: View, size: tuple[int, ...], augmentation: Augmentation) -> Crop:
    how = augmentation.scale, augmentation.elastic
    window = window_of(size, *how)

    def somewhere(
        image: tf.Tensor, label: tf.Tensor, normalise: Normalise, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = random_crop(image, label, window, seed)
        image = normalise(image)  # A crop is a small part; zeros of padding stay zero.
        if any(how):
            image, label = distorted(image, label, size, *how, folded(seed, ZOOM))
        return vary(image, augmentation.appearance, folded(seed, APPEARANCE)), label

    return somewhere


@crop_of.register
def _(view: Patches, stored: Patches, size: tuple[int, ...], augmentation: Augmentation) -> Crop:
    """The centre of a stored patch, which may be larger than the wanted one."""
    rim = (stored.patch_size - view.patch_size) // 2
    inside = slice(rim, rim + view.patch_size)

    def centre(
        image: tf.Tensor, label: tf.Tensor, normalise: Normalise, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        image = image[inside, inside]
        image.set_shape([view.patch_size, view.patch_size, image.shape[-1]])
        label.set_shape([view.label_size, view.label_size])
        return normalise(image), label

    return centre


def crop_of_volume(view: View, size: tuple[int, ...], augmentation: Augmentation) -> Crop:
    """How to crop an example of a view from a whole volume, as which unlabelled subjects are held.

    Args: see `crop_of`.
    """
    cut, crop = from_volume(view), crop_of(view, view, size, augmentation)

    def cut_out(
        image: tf.Tensor, label: tf.Tensor, normalise: Normalise, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return crop(*cut(image, label, seed), normalise, seed)

    return cut_out
