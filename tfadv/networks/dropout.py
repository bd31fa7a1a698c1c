"""Dropout that a pass in training can leave out, while normalisation goes on as in training."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

# By kind, which values are dropped together: each for itself, or all voxels of a sample's map.
KINDS: dict[str, tuple[int | None, ...] | None] = {"voxels": None, "maps": (None, 1, 1, None)}
DROPPING = "dropping"  # What `network(x, training=True, dropping=False)` tells its layers.


@keras.saving.register_keras_serializable("tfadv")
class Dropout(layers.Dropout):
    """Keras' layer, which drops in training unless the pass says `dropping=False`."""

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(rate, **kwargs)
        self._register_call_context_args(DROPPING)

    # None, not True: Keras would put down what is said by default with the network's graph.
    def call(
        self, inputs: tf.Tensor, training: bool = False, dropping: bool | None = None
    ) -> tf.Tensor:
        return super().call(inputs, training=training and dropping is not False)


def told_whether_to_drop(network: keras.Model) -> keras.Model:
    """The same network, whose passes take `dropping`."""
    network._register_call_context_args(DROPPING)
    return network
