"""What a segmentor's output maps stand for: exclusive classes, or regions that may overlap."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfadv.inference.description import Description
from tfrecords.records.manifest import Manifest

# Sigmoids closer to 0 and 1 than this count as this: one region must not outvote all others.
EPSILON = 1e-6


@dataclass(frozen=True)
class Targets:
    """One output map for each name.

    Attributes:
        members: the class indices that each map covers.
        exclusive: whether maps are classes of which each voxel has one (softmax), or regions, each
            of which a voxel may belong to (sigmoid).
        classes: of the dataset; the first is the background.
    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    exclusive: bool
    classes: int

    def probabilities(self, logits: tf.Tensor) -> tf.Tensor:
        """[..., len(names)]."""
        return tf.nn.softmax(logits) if self.exclusive else tf.sigmoid(logits)

    def background(self) -> tf.Tensor:
        """The probabilities [len(names)] of a voxel outside the body."""
        return tf.constant([1.0 if 0 in members else 0.0 for members in self.members])

    def decide(self, probabilities: tf.Tensor) -> tf.Tensor:
        """The most likely class index [...] of probabilities [..., len(names)].

        A class has the likelihood of belonging to exactly its regions. So every voxel gets a
        combination of regions that exists, and nested regions stay nested: ET in TC in WT.
        Classes of the same regions cannot be told apart; the first of them is taken.
        """
        # Map by map, since TensorFlow finds the largest of many neighbours in a row slowly.
        scores = tf.transpose(tf.reshape(probabilities, [-1, len(self.names)]))
        if not self.exclusive:
            clipped = tf.clip_by_value(scores, EPSILON, 1 - EPSILON)
            logits = tf.math.log(clipped) - tf.math.log1p(-clipped)
            scores = tf.matmul(tf.constant(self.membership()), logits, transpose_a=True)
        return tf.reshape(_first_largest(scores), tf.shape(probabilities)[:-1])

    def masks(self, decided: tf.Tensor) -> tf.Tensor:
        """What the maps of a label map would be: float32 [..., len(names)] of class indices."""
        return tf.gather(tf.constant(self.membership().T), tf.cast(decided, tf.int32))

    def membership(self) -> np.ndarray:
        """float32 [len(names), classes]: 1 where a map covers a class."""
        matrix = np.zeros((len(self.names), self.classes), np.float32)
        for row, members in zip(matrix, self.members, strict=True):
            row[list(members)] = 1
        return matrix


def _first_largest(scores: tf.Tensor) -> tf.Tensor:
    """int32 [N]: for each column of scores [K, N], the first row where it is largest."""
    largest, *others = tf.unstack(scores)
    index = tf.zeros_like(largest, tf.int32)
    for row, score in enumerate(others, 1):
        index = tf.maximum(index, row * tf.cast(score > largest, tf.int32))
        largest = tf.maximum(largest, score)
    return index


def class_targets(manifest: Manifest | Description) -> Targets:
    """One exclusive map per class, the background among them."""
    count = len(manifest.classes)
    members = tuple((index,) for index in range(count))
    return Targets(tuple(c.name for c in manifest.classes), members, exclusive=True, classes=count)


def region_targets(manifest: Manifest | Description) -> Targets:
    """One map per region; of a dataset without regions, one per foreground class."""
    names = [c.name for c in manifest.classes]
    regions = manifest.regions or {name: (name,) for name in names[1:]}
    members = tuple(tuple(map(names.index, classes)) for classes in regions.values())
    return Targets(tuple(regions), members, exclusive=False, classes=len(manifest.classes))


def scored_regions(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """What is scored: each foreground class, and each region, as class indices."""
    scored: dict[str, tuple[int, ...]] = {
        c.name: (index,) for index, c in enumerate(manifest.classes) if index
    }
    for name, members in manifest.regions.items():
        scored[name] = tuple(manifest.class_index(member) for member in members)
    return scored


def averaged_regions(manifest: Manifest) -> tuple[str, ...]:
    """What the mean Dice averages, as training selects: regions, or without any the foreground."""
    return tuple(manifest.regions) or tuple(c.name for c in manifest.classes[1:])
