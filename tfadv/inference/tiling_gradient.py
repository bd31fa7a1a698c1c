"""What a loss of a whole volume's maps asks of its image, window after window.

The counterpart of `Tiling.apply`, exact where windows overlap as well: the maps are sums of those
of windows, with weights that are known, so each window's part is passed back alone, and memory
holds one window's layers.
"""

from collections.abc import Callable
from functools import partial, singledispatch

import tensorflow as tf

from tfadv.inference.tiling import (
    WINDOWS_AT_ONCE,
    SlidingWindow,
    Tiling,
    WholeSlices,
    WholeVolume,
    gaussian,
    missing,
    overlapped,
    pad,
    some_at_a_time,
)

# (windows [B, ..., C], the loss's gradient with respect to their maps [B, ..., K]) to that with
# respect to the windows.
Backward = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@singledispatch
def gradient(tiling: Tiling, backward: Backward, image: tf.Tensor, of_maps: tf.Tensor) -> tf.Tensor:
    """A loss's gradient with respect to the image, float32 [Z, Y, X, C].

    Args:
        image: float32 [Z, Y, X, C].
        of_maps: float32 [Z, Y, X, K], the gradient with respect to what `tiling.apply` gives.
    """
    raise TypeError(f"tiling: expected one that is known. Received: {tiling!r}")


@gradient.register
def _(tiling: WholeSlices, backward: Backward, image: tf.Tensor, of_maps: tf.Tensor) -> tf.Tensor:
    margin = tiling.margin
    both = tf.concat([image, of_maps], -1)
    padded = tf.pad(both, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
    padded.set_shape([None, None, None, both.shape[-1]])
    of_slices = _of_slices(padded, backward, image.shape[-1], margin, 1)
    return tf.slice(of_slices, [0, margin, margin, 0], tf.shape(image))


@gradient.register
def _(tiling: WholeVolume, backward: Backward, image: tf.Tensor, of_maps: tf.Tensor) -> tf.Tensor:
    lacking = missing(tf.shape(image)[:3], tiling.multiple)
    before = lacking // 2
    padded, upstream = (pad(each, before, lacking - before)[None] for each in (image, of_maps))
    return tf.slice(backward(padded, upstream)[0], tf.concat([before, [0]], 0), tf.shape(image))


@gradient.register
def _(tiling: SlidingWindow, backward: Backward, image: tf.Tensor, of_maps: tf.Tensor) -> tf.Tensor:
    channels = image.shape[-1]
    shape = tf.shape(image)[:3]
    size, padded, before = tiling.placed(shape)
    weights = gaussian(size)[..., None]
    padding = partial(pad, before=before, after=padded - shape - before)
    whole = overlapped(lambda _: weights, padded, size, 1)
    both = tf.concat([padding(image), padding(of_maps) / whole], -1)

    def window(start: tf.Tensor) -> tf.Tensor:
        """The gradient [*size, C] that one window passes back."""
        extents = tf.concat([size, [both.shape[-1]]], 0)
        block = tf.slice(both, tf.concat([start, [0]], 0), extents)
        block = tf.concat([block[..., :channels], block[..., channels:] * weights], -1)
        if tiling.of_slices:
            slices = tf.ensure_shape(block, [None, *tiling.size, both.shape[-1]])
            return _of_slices(slices, backward, channels, 0, WINDOWS_AT_ONCE)
        block = tf.ensure_shape(block, [*tiling.size, both.shape[-1]])[None]
        return backward(block[..., :channels], block[..., channels:])[0]

    total = overlapped(window, padded, size, channels)
    return tf.slice(total, tf.concat([before, [0]], 0), tf.shape(image))


def _of_slices(
    both: tf.Tensor, backward: Backward, channels: int, margin: int, number: int
) -> tf.Tensor:
    """The gradient [Z, Y, X, C] of slices, some at a time.

    Args:
        both: [Z, Y, X, C + K], slices beside the gradient with respect to their maps.
        margin: voxels at each border for which there are no maps.
    """

    def of_some(some: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(some)[1], tf.shape(some)[2]
        inside = some[:, margin : height - margin, margin : width - margin, channels:]
        return backward(some[..., :channels], inside)

    return some_at_a_time(of_some, both, channels, number)
