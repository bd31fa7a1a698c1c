"""Segmentors whose maps of one volume are averaged: of several runs, and of the volume mirrored."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfadv.inference.targets import Targets
from tfadv.inference.tiling import Tiling
from tfadv.inference.weights import named_weights


class Member(tf.Module):
    """A segmentor, and how its maps cover a volume.

    Args:
        segmentor: gives logits of the targets, [B, y, x, K] or [B, z, y, x, K].
        mirrored: axes of [Z, Y, X, C]; the maps of the volume mirrored along none, some and all of
            them are averaged.
    """

    def __init__(
        self, segmentor: keras.Model, tiling: Tiling, mirrored: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.segmentor = segmentor
        self.named = named_weights(segmentor)  # By these names they are saved.
        self.tiling = tiling
        self.mirrored = mirrored

    def maps(self, image: tf.Tensor, targets: Targets) -> tf.Tensor:
        """Probabilities [Z, Y, X, K] of a normalised image [Z, Y, X, C]."""
        if not self.mirrored:
            return self._maps(image, targets)
        along = mirrorings(self.mirrored)
        signature = tf.TensorShape([None, None, None, len(targets.names)])

        def add(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            axes = tf.gather(along, number)
            seen = tf.ensure_shape(tf.raw_ops.Reverse(tensor=image, dims=axes), image.shape)
            maps = tf.raw_ops.Reverse(tensor=self._maps(seen, targets), dims=axes)
            return number + 1, total + tf.ensure_shape(maps, signature)

        nothing = tf.zeros([*tf.unstack(tf.shape(image)[:3]), len(targets.names)])
        # One after another, so that memory holds the network's layers once.
        _, total = tf.while_loop(
            lambda number, _: number < len(along),
            add,
            [0, tf.ensure_shape(nothing, signature)],
            shape_invariants=[tf.TensorShape([]), signature],
            parallel_iterations=1,
        )
        return total / len(along)

    def _maps(self, image: tf.Tensor, targets: Targets) -> tf.Tensor:
        def network(windows: tf.Tensor) -> tf.Tensor:
            return targets.probabilities(self.segmentor(windows, training=False))

        return self.tiling.apply(network, image, len(targets.names))


def mirrorings(axes: Sequence[int]) -> np.ndarray:
    """bool [2^N, 4]: along which of four axes each mirrored volume is reversed; the first, none."""
    chosen = np.array(list(product([False, True], repeat=len(axes))))
    along = np.zeros((len(chosen), 4), bool)
    along[:, list(axes)] = chosen
    return along


class Averaged(NamedTuple):
    """What members make of an image.

    Attributes:
        probabilities: their mean, [Z, Y, X, K]; each counts alike.
        decided: what each would decide alone, class indices [Z, Y, X].
    """

    probabilities: tf.Tensor
    decided: list[tf.Tensor]


def averaged(members: Sequence[Member], image: tf.Tensor, targets: Targets) -> Averaged:
    """What the members make of a normalised image [Z, Y, X, C]."""
    first, *others = members
    total = first.maps(image, targets)
    decided = [targets.decide(total)]
    for member in others:
        with tf.control_dependencies([total]):  # One after another, as above.
            maps = member.maps(tf.identity(image), targets)
        decided.append(targets.decide(maps))
        total += maps
    return Averaged(total / len(members) if others else total, decided)
