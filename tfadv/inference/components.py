"""Connected components in a graph, and label maps that keep the largest ones alone."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfadv.inference.targets import Targets


def largest_component(mask: tf.Tensor) -> tf.Tensor:
    """The largest of a mask's components, of voxels that touch by a face, an edge or a corner (26).

    Of equally large ones, that whose last voxel comes first. Of nothing, nothing.

    Args:
        mask: bool [Z, Y, X].

    Returns:
        bool [Z, Y, X].
    """
    labels = tf.reshape(_components(mask), [-1])
    voxels = tf.math.unsorted_segment_sum(tf.cast(labels > 0, tf.int32), labels, _labels(mask))
    largest = tf.argmax(voxels, output_type=tf.int32)
    # Where there is no component, the largest is label 0, the voxels around.
    return mask & tf.reshape(labels == largest, tf.shape(mask))


def _components(mask: tf.Tensor) -> tf.Tensor:
    """int32 [Z, Y, X]: one number above 0 for each component, 0 outside.

    Each voxel begins with a number of its own. In turns, all that have one number take the largest
    that any of them touches, until none touches another. A component needs about as many turns as
    the logarithm of its size, however it winds.
    """
    shape = tf.shape(mask)
    own = tf.reshape(tf.range(1, tf.size(mask) + 1), shape)
    signature = tf.TensorShape([None, None, None])

    def turn(_: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        touched = tf.where(mask, _largest_around(labels), 0)
        flat = tf.reshape(labels, [-1])
        following = tf.math.unsorted_segment_max(tf.reshape(touched, [-1]), flat, _labels(mask))
        following = _to_the_end(tf.maximum(following, 0))  # Numbers that no voxel has are lowest.
        found = tf.reshape(tf.gather(following, flat), shape)
        return tf.reduce_any(found != labels), tf.ensure_shape(found, signature)

    _, labels = tf.while_loop(
        lambda changes, _: changes,
        turn,
        [tf.constant(True), tf.ensure_shape(tf.where(mask, own, 0), signature)],
        parallel_iterations=1,
    )
    return labels


def _labels(mask: tf.Tensor) -> tf.Tensor:
    return tf.size(mask) + 1


def _to_the_end(following: tf.Tensor) -> tf.Tensor:
    """Where a chain of numbers ends, each followed by one that is not lower: int32 [N]."""

    def leap(_: tf.Tensor, following: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.gather(following, following)
        return tf.reduce_any(found != following), found

    _, following = tf.while_loop(lambda changes, _: changes, leap, [tf.constant(True), following])
    return following


def _largest_around(labels: tf.Tensor) -> tf.Tensor:
    """The largest number in each voxel's 3x3x3 neighbourhood, itself in it: axis by axis."""
    for axis in range(3):
        margin = np.zeros((3, 2), np.int32)
        margin[axis] = 1
        padded = tf.pad(labels, margin)
        before, after = [slice(None)] * 3, [slice(None)] * 3
        before[axis], after[axis] = slice(None, -2), slice(2, None)
        around = tf.maximum(padded[tuple(before)], padded[tuple(after)])
        labels = tf.maximum(labels, around)
    return labels


def decide(probabilities: tf.Tensor, targets: Targets, largest: Sequence[int]) -> tf.Tensor:
    """Class indices [Z, Y, X] as `Targets.decide` finds them, some of them in one piece.

    Of each class or region in `largest`, the pieces besides its largest become background, those of
    a region what is the likeliest without it: the core of a tumour leaves its edema.

    Args:
        probabilities: [Z, Y, X, K] of the targets.
        largest: the maps, counted from 0.
    """
    decided = targets.decide(probabilities)
    for number in largest:
        within = set(targets.members[number])
        found = tf.reduce_any([decided == member for member in within], axis=0)
        dropped = found & ~largest_component(found)
        # Regions within this one go with it, and all classes, lest they get pieces by that.
        gone = [
            0 not in members if targets.exclusive else set(members) <= within
            for members in targets.members
        ]
        probabilities = tf.where(dropped[..., None] & np.array(gone), 0.0, probabilities)
        decided = targets.decide(probabilities)
    return decided
