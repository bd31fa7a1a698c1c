"""How a segmentor's maps of parts of a volume become the map of the whole volume."""

import abc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

# Width of the Gaussian window weights, as a share of the window (that of nnU-Net).
SIGMA_SHARE = 1 / 8
OVERLAP = 0.5
WINDOWS_AT_ONCE = 16
ALL_AXES, AXES_OF_SLICES = (0, 1, 2), (1, 2)  # Of [Z, Y, X, C].
Network = Callable[[tf.Tensor], tf.Tensor]


class Tiling(abc.ABC):
    """A way of applying a network to a volume, in a graph, whatever the volume's size."""

    @property
    def axes(self) -> tuple[int, ...]:
        """Those of [Z, Y, X, C] along which the network looks."""
        return ALL_AXES

    @abc.abstractmethod
    def apply(self, network: Network, image: tf.Tensor, outputs: int) -> tf.Tensor:
        """The network's maps, restacked.

        Args:
            network: [B, ..., C] -> [B, ..., outputs].
            image: float32 [Z, Y, X, C].

        Returns:
            float32 [Z, Y, X, outputs].
        """


@dataclass(frozen=True)
class WholeSlices(Tiling):
    """Axial slices whole, for a network of valid convolutions.

    Attributes:
        margin: voxels that the network's maps lose at each border; slices are padded by as many
            zeros, the background.
    """

    margin: int

    @property
    def axes(self) -> tuple[int, ...]:
        return AXES_OF_SLICES

    def apply(self, network: Network, image: tf.Tensor, outputs: int) -> tf.Tensor:
        margin = [self.margin, self.margin]
        padded = tf.pad(image, [[0, 0], margin, margin, [0, 0]])
        padded.set_shape([None, None, None, image.shape[-1]])
        # One by one: the maps of all layers stay in a processor's cache.
        return some_at_a_time(network, padded, outputs, 1)


@dataclass(frozen=True)
class WholeVolume(Tiling):
    """The volume at once, for a network of volumes.

    Attributes:
        multiple: of voxels that the network's input has along each axis; the volume is padded with
            zeros, the background, alike at both sides.
    """

    multiple: int

    def apply(self, network: Network, image: tf.Tensor, outputs: int) -> tf.Tensor:
        shape = tf.shape(image)[:3]
        lacking = missing(shape, self.multiple)
        before = lacking // 2
        maps = network(pad(image, before, lacking - before)[None])[0]
        begin = tf.concat([before, [0]], 0)
        return tf.slice(maps, begin, tf.concat([shape, [outputs]], 0))


@dataclass(frozen=True)
class SlidingWindow(Tiling):
    """Windows that overlap by half, blended with Gaussian weights.

    An image smaller than the window is padded with zeros. Networks of slices see every slice.

    Attributes:
        size: voxels in (y, x) for networks of slices, or (z, y, x) for networks of volumes; the
            network's maps are as large as its windows.
    """

    size: tuple[int, ...]

    @property
    def of_slices(self) -> bool:
        return len(self.size) == 2

    @property
    def axes(self) -> tuple[int, ...]:
        return AXES_OF_SLICES if self.of_slices else ALL_AXES

    def placed(self, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """A window's size, the padded image's, and the padding before; int32 [3] as the shape."""
        size = tf.stack([shape[0], *self.size]) if self.of_slices else tf.constant(self.size)
        padded = tf.maximum(shape, size)
        return size, padded, (padded - shape) // 2

    def apply(self, network: Network, image: tf.Tensor, outputs: int) -> tf.Tensor:
        channels = image.shape[-1]
        shape = tf.shape(image)[:3]
        size, padded, before = self.placed(shape)
        image = pad(image, before, padded - shape - before)
        weights = gaussian(size)[..., None]
        weights_of_maps = tf.tile(weights, [1, 1, 1, outputs])

        def window(start: tf.Tensor) -> tf.Tensor:
            """Weighted maps and weights [*size, outputs + 1]."""
            block = tf.slice(image, tf.concat([start, [0]], 0), tf.concat([size, [channels]], 0))
            maps = self._of_block(network, block, channels, outputs)
            return tf.concat([maps * weights_of_maps, weights], -1)

        total = overlapped(window, padded, size, outputs + 1)
        begin = tf.concat([before, [0]], 0)
        inside = tf.slice(total, begin, tf.concat([shape, [outputs + 1]], 0))
        return inside[..., :-1] / inside[..., -1:]

    def _of_block(
        self, network: Network, block: tf.Tensor, channels: int, outputs: int
    ) -> tf.Tensor:
        """The network's map [d, h, w, outputs] of a block [d, h, w, channels]."""
        if self.of_slices:
            slices = tf.ensure_shape(block, [None, *self.size, channels])
            return some_at_a_time(network, slices, outputs, WINDOWS_AT_ONCE)
        return network(tf.ensure_shape(block, [*self.size, channels])[None])[0]


def some_at_a_time(network: Network, slices: tf.Tensor, outputs: int, number: int) -> tf.Tensor:
    """The network's maps [Z, y, x, outputs] of slices [Z, Y, X, C]."""
    depth = tf.shape(slices)[0]
    slices = tf.pad(slices, [[0, missing(depth, number)], [0, 0], [0, 0], [0, 0]])
    groups = tf.reshape(slices, tf.concat([[-1, number], tf.shape(slices)[1:]], 0))
    groups.set_shape([None, number, *slices.shape[1:]])
    signature = tf.TensorSpec([number, None, None, outputs], tf.float32)
    maps = tf.map_fn(network, groups, fn_output_signature=signature, parallel_iterations=1)
    maps = tf.reshape(maps, tf.concat([[-1], tf.shape(maps)[2:]], 0))
    maps.set_shape([None, None, None, outputs])
    return maps[:depth]


def missing(extents: tf.Tensor, multiple: int) -> tf.Tensor:
    """What extents lack of the next multiple.

    Not `-extents % multiple`: tf2onnx leaves the remainder of a negative number negative.
    """
    return (multiple - extents % multiple) % multiple


def pad(tensor: tf.Tensor, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """Zeros around the first three of four axes."""
    amounts = tf.concat([tf.stack([before, after], axis=1), [[0, 0]]], 0)
    padded = tf.pad(tensor, amounts)
    padded.set_shape([None, None, None, tensor.shape[-1]])
    return padded


def overlapped(
    window: Callable[[tf.Tensor], tf.Tensor], shape: tf.Tensor, size: tf.Tensor, channels: int
) -> tf.Tensor:
    """The sum [*shape, channels] of windows that cover a volume evenly.

    Windows are appended to rows, rows to slabs and slabs to the volume, where they overlap added:
    of a volume's voxels, a window touches those of its row at most.

    Args:
        window: gives the window [*size, channels] whose first voxel is at (z, y, x).
    """
    signature = tf.TensorShape([None, None, None, channels])

    def along(axis: int, place: list[tf.Tensor]) -> tf.Tensor:
        """The sum over the windows along this axis and those after it, at a place along others."""
        if axis == 3:
            return window(tf.stack(place))
        starts = _starts(shape[axis], size[axis])

        def append(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            start = starts[number]
            part = along(axis + 1, [*place, start])
            common = tf.shape(total)[axis] - start
            before, under = tf.split(total, [start, common], axis)
            over, beyond = tf.split(part, [common, size[axis] - common], axis)
            return number + 1, tf.concat([before, under + over, beyond], axis)

        # None yet along this axis: the first start, whose 0 nobody knows before. Of a shape that is
        # known, tf2onnx believes that it stays.
        nothing = tf.zeros(
            [*tf.unstack(size[:axis]), starts[0], *tf.unstack(shape[axis + 1 :]), channels]
        )
        _, total = tf.while_loop(
            lambda number, _: number < tf.size(starts),
            append,
            [0, tf.ensure_shape(nothing, signature)],
            shape_invariants=[tf.TensorShape([]), signature],
            parallel_iterations=1,
        )
        return total

    return along(0, [])


def _starts(extent: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """First voxels [N] of windows that cover an axis evenly."""
    room = tf.cast(extent - size, tf.float32)
    stride = tf.cast(size, tf.float32) * (1 - OVERLAP)
    count = tf.cast(tf.math.ceil(room / stride), tf.int32) + 1
    return tf.cast(tf.round(tf.linspace(0.0, room, count)), tf.int32)


def gaussian(size: tf.Tensor) -> tf.Tensor:
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
