"""From raw volumes to label maps, in one graph: what validation, evaluation and servers all run."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfrecords.manifest import Manifest
from tfrecords.normalisation import as_stored, foreground_statistics, normalise

# Width of the Gaussian window weights, as a share of the window (that of nnU-Net).
SIGMA_SHARE = 1 / 8
OVERLAP = 0.5
SLICES_AT_ONCE = 16


@dataclass(frozen=True)
class Window:
    """What the segmentor sees at once.

    Attributes:
        size: voxels in (y, x) for networks of slices, or (z, y, x) for networks of volumes.
    """

    size: tuple[int, ...]

    @property
    def of_slices(self) -> bool:
        return len(self.size) == 2


class Predictor(tf.Module):
    """Raw volume -> normalisation -> sliding window -> label map.

    Args:
        segmentor: gives logits of the manifest's classes, [B, y, x, K] or [B, z, y, x, K].
        scheme: of normalisation.
    """

    def __init__(
        self, segmentor: keras.Model, manifest: Manifest, scheme: str, window: Window
    ) -> None:
        super().__init__()
        self.segmentor = segmentor
        self.scheme = scheme
        self.window = window
        self.image_dtype = manifest.image_dtype
        self.values = [label_class.labels[0] for label_class in manifest.classes]
        self.outputs = segmentor.output_shape[-1]
        self.channels = len(manifest.modalities)
        self.predict = tf.function(
            self._predict,
            input_signature=[
                tf.TensorSpec([None, None, None, self.channels], tf.float32, "volume")
            ],
        )

    def _predict(self, volume: tf.Tensor) -> dict[str, tf.Tensor]:
        """A raw volume's label map and probabilities.

        Args:
            volume: float32 [Z, Y, X, C], raw intensities on a working grid.

        Returns:
            label: uint8 [Z, Y, X], the dataset's own label values.
            probabilities: float32 [Z, Y, X, K].
        """
        # Record sets hold the body's box alone; windows must lie here as they do there.
        start, size = body_box(volume)
        body = tf.slice(volume, tf.concat([start, [0]], 0), tf.concat([size, [self.channels]], 0))
        stored = as_stored(body, self.image_dtype)
        stored.set_shape([None, None, None, self.channels])
        image = normalise(stored, foreground_statistics(stored), self.scheme)
        probabilities = sliding_window(self._probabilities, image, self.window, self.outputs)
        after = tf.shape(volume)[:3] - start - size
        # Outside the body is background: certainly the first class.
        outside = tf.one_hot(0, self.outputs)
        probabilities = _pad(probabilities - outside, start, after) + outside
        winner = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
        label = tf.gather(tf.constant(self.values, tf.uint8), winner)
        return {"label": label, "probabilities": probabilities}

    def _probabilities(self, windows: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(self.segmentor(windows, training=False))


def body_box(volume: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """First voxel and size of the smallest box that holds every non-zero voxel (`views.body_box`).

    A volume of zeros is its own box.

    Args:
        volume: [Z, Y, X, C].

    Returns:
        Two int32 [3].
    """
    body = tf.reduce_any(volume != 0, axis=-1)
    body = body | ~tf.reduce_any(body)
    starts, sizes = [], []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        filled = tf.cast(tf.where(tf.reduce_any(body, axis=others))[:, 0], tf.int32)
        starts.append(filled[0])
        sizes.append(filled[-1] - filled[0] + 1)
    return tf.stack(starts), tf.stack(sizes)


def sliding_window(network, image: tf.Tensor, window: Window, outputs: int) -> tf.Tensor:  # type: ignore[no-untyped-def]
    """A network's maps of windows that overlap by half, blended with Gaussian weights.

    An image smaller than the window is padded with zeros. Networks of slices see every slice.

    Args:
        network: [B, *window, C] -> [B, *window, K].
        image: float32 [Z, Y, X, C].
        outputs: K.

    Returns:
        float32 [Z, Y, X, K].
    """
    channels = image.shape[-1]
    shape = tf.shape(image)[:3]
    size = tf.stack([shape[0], *window.size]) if window.of_slices else tf.constant(window.size)
    padded = tf.maximum(shape, size)
    before = (padded - shape) // 2
    image = _pad(image, before, padded - shape - before)
    weights = _gaussian(size)[..., None]
    starts = _starts(padded, size)

    def add(index: tf.Tensor, total: tf.Tensor, weight: tf.Tensor) -> list[tf.Tensor]:
        start = starts[index]
        block = tf.slice(image, tf.concat([start, [0]], 0), tf.concat([size, [channels]], 0))
        block.set_shape([None, None, None, channels])
        maps = _of_block(network, block, window, outputs) * weights
        after = padded - start - size
        return [index + 1, total + _pad(maps, start, after), weight + _pad(weights, start, after)]

    _, total, weight = tf.while_loop(
        lambda index, *_: index < tf.shape(starts)[0],
        add,
        [0, tf.zeros(tf.concat([padded, [outputs]], 0)), tf.zeros(tf.concat([padded, [1]], 0))],
        shape_invariants=[
            tf.TensorShape([]),
            tf.TensorShape([None, None, None, outputs]),
            tf.TensorShape([None, None, None, 1]),
        ],
        parallel_iterations=1,
    )
    return tf.slice(total / weight, tf.concat([before, [0]], 0), tf.concat([shape, [outputs]], 0))


def _of_block(network, block: tf.Tensor, window: Window, outputs: int) -> tf.Tensor:  # type: ignore[no-untyped-def]
    """The network's map [d, h, w, K] of a block [d, h, w, C]; slices a few at a time."""
    channels = block.shape[-1]
    if not window.of_slices:
        return network(tf.ensure_shape(block, [*window.size, channels])[None])[0]
    depth = tf.shape(block)[0]
    rest = -depth % SLICES_AT_ONCE
    slices = tf.pad(block, [[0, rest], [0, 0], [0, 0], [0, 0]])
    slices = tf.reshape(slices, [-1, SLICES_AT_ONCE, *window.size, channels])
    signature = tf.TensorSpec([SLICES_AT_ONCE, *window.size, outputs], tf.float32)
    maps = tf.map_fn(network, slices, fn_output_signature=signature, parallel_iterations=1)
    return tf.reshape(maps, [-1, *window.size, outputs])[:depth]


def _pad(tensor: tf.Tensor, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """Zeros around the first three axes."""
    amounts = tf.concat([tf.stack([before, after], axis=1), [[0, 0]]], 0)
    padded = tf.pad(tensor, amounts)
    padded.set_shape([None, None, None, tensor.shape[-1]])
    return padded


def _starts(shape: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """First voxels [N, 3] of windows that cover the shape evenly."""
    axes = []
    for axis in range(3):
        room = tf.cast(shape[axis] - size[axis], tf.float32)
        stride = tf.cast(size[axis], tf.float32) * (1 - OVERLAP)
        count = tf.cast(tf.math.ceil(room / stride), tf.int32) + 1
        axes.append(tf.cast(tf.round(tf.linspace(0.0, room, count)), tf.int32))
    grid = tf.meshgrid(*axes, indexing="ij")
    return tf.reshape(tf.stack(grid, axis=-1), [-1, 3])


def _gaussian(size: tf.Tensor) -> tf.Tensor:
    """Weights [d, h, w] that fall from 1 at the centre, never below a thousandth."""
    weights = tf.ones([1, 1, 1])
    for axis in range(3):
        extent = tf.cast(size[axis], tf.float32)
        distance = tf.range(extent) - (extent - 1) / 2
        profile = tf.exp(-0.5 * tf.square(distance / (extent * SIGMA_SHARE)))
        shape = np.ones(3, np.int32)
        shape[axis] = -1
        weights *= tf.reshape(profile, shape)
    return tf.maximum(weights, 1e-3)
