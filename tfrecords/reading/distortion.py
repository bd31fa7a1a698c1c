"""How an example's geometry is varied by scale and elastic deformation, in two or three dimensions.

Images are interpolated linearly, labels are those of the nearest voxel, and beyond lie zeros.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import tensorflow as tf

# Voxels between the nodes of the grid that an elastic deformation is drawn on.
NODES = 24


def zoom_of(scale: float, seed: tf.Tensor) -> tf.Tensor:
    """A factor [1] by which things grow: log-uniform from 1 / (1 + scale) to 1 + scale."""
    bound = math.log1p(scale)
    return tf.exp(tf.random.stateless_uniform([1], seed, -bound, bound))


def window_of(size: tuple[int, ...], scale: float, elastic: float) -> tuple[int, ...]:
    """The extent of what a distorted crop of this size may show, as far beyond it on all sides."""
    margin = math.ceil(2 * elastic)
    return tuple(side + 2 * (math.ceil(side * scale / 2) + margin) for side in size)


def distorted(
    image: tf.Tensor,
    label: tf.Tensor,
    size: tuple[int, ...],
    scale: float,
    elastic: float,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The crop about the centre, scaled and deformed.

    Args:
        image: float32 [..., C] of the extent that `window_of` gives.
        label: uint8 [...].
        elastic: standard deviation of a displacement along each axis, voxels.
        seed: int64 [2], of this example alone.

    Returns:
        float32 [*size, C] and uint8 [*size].
    """
    zoom_seed, elastic_seed = (
        tf.random.experimental.stateless_fold_in(seed, number) for number in (0, 1)
    )
    zoom = zoom_of(scale, zoom_seed)
    axes = []
    for axis, side in enumerate(size):
        about_centre = np.arange(side, dtype=np.float32) - (side - 1) / 2
        axes.append(tf.cast(tf.shape(label)[axis] - 1, tf.float32) / 2 + about_centre / zoom)
    if not elastic:
        return scaled(image, label, axes)
    places = tf.stack(tf.meshgrid(*axes, indexing="ij"), axis=-1)
    places += displacement(size, elastic, elastic_seed)
    return sampled(image, places), nearest(label, places)


def scaled(
    image: tf.Tensor, label: tf.Tensor, axes: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """As `sampled` and `nearest` at the places where lines [side] along the axes cross; cheaper."""
    for axis, place in enumerate(axes):
        below = tf.floor(place)
        shape = [-1 if a == axis else 1 for a in range(len(axes))]
        above = tf.reshape(place - below, [*shape, 1])
        first, second = (_gathered_along(image, axis, at) for at in (below, below + 1))
        image = (1 - above) * first + above * second
        label = _gathered_along(label, axis, tf.floor(place + 0.5))
    size = [place.shape[0] for place in axes]
    return tf.ensure_shape(image, [*size, image.shape[-1]]), tf.ensure_shape(label, size)


def _gathered_along(values: tf.Tensor, axis: int, place: tf.Tensor) -> tf.Tensor:
    """Values at whole places [side] along an axis; zeros beyond."""
    last = tf.shape(values)[axis] - 1
    index = tf.cast(place, tf.int32)
    inside = tf.reshape(
        (index >= 0) & (index <= last), [-1 if a == axis else 1 for a in range(len(values.shape))]
    )
    found = tf.gather(values, tf.clip_by_value(index, 0, last), axis=axis)
    return tf.where(inside, found, tf.zeros([], values.dtype))


def displacement(size: tuple[int, ...], deviation: float, seed: tf.Tensor) -> tf.Tensor:
    """A smooth random field [*size, D]: cubic splines of normal numbers at the nodes of a grid.

    Args:
        deviation: its standard deviation along each axis, in every voxel.
    """
    bases = [tf.constant(spline_basis(side)) for side in size]
    nodes = [basis.shape[1] for basis in bases]
    field = tf.random.stateless_normal([*nodes, len(size)], seed)
    for axis, basis in enumerate(bases):
        field = tf.tensordot(basis, field, [[1], [axis]])  # The axis comes first.
        field = tf.transpose(field, [*range(1, axis + 1), 0, *range(axis + 1, len(size) + 1)])
    return deviation * field


@cache
def spline_basis(extent: int) -> np.ndarray:
    """Weights of nodes for each voxel, float32 [extent, nodes]; of each, the squares sum to one."""
    place = np.arange(extent) / NODES
    nodes = np.arange(-1, math.ceil(place[-1]) + 2)
    distance = np.abs(place[:, None] - nodes)
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


def sampled(image: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Linear interpolation of an image [..., C] at places [*size, D], in voxels."""
    below = tf.floor(places)
    above = places - below
    rank = places.shape[-1]
    found = 0.0
    for corner in np.ndindex(*(2,) * rank):
        step = tf.constant(corner, tf.float32)
        weight = tf.reduce_prod(tf.where(step > 0, above, 1 - above), axis=-1, keepdims=True)
        found += weight * _gathered(image, tf.cast(below + step, tf.int32))
    return tf.ensure_shape(found, [*places.shape[:-1], image.shape[-1]])


def nearest(label: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """The values of the voxels of a label map [...] nearest to places [*size, D]."""
    found = _gathered(label[..., None], tf.cast(tf.floor(places + 0.5), tf.int32))[..., 0]
    return tf.ensure_shape(found, places.shape[:-1])


def _gathered(values: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Values [..., K] at indices [*size, D]; zeros beyond."""
    last = tf.shape(values)[:-1] - 1
    inside = tf.reduce_all((indices >= 0) & (indices <= last), axis=-1, keepdims=True)
    found = tf.gather_nd(values, tf.clip_by_value(indices, 0, last))
    return tf.where(inside, found, tf.zeros([], values.dtype))
