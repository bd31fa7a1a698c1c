"""Networks that compute inner maps a second time for gradients, rather than keep them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf


class Block(NamedTuple):
    """A part of a network, from some of its maps to a further one; its inner maps are forgotten."""

    inputs: tuple[keras.KerasTensor, ...]
    output: keras.KerasTensor


class Blocks(list[Block]):
    """A network's blocks, in the order in which they compute."""

    def add(
        self, function: Callable[..., keras.KerasTensor], *inputs: keras.KerasTensor
    ) -> keras.KerasTensor:
        """What the function gives of the inputs, as a block."""
        output = function(*inputs)
        self.append(Block(inputs, output))
        return output


@keras.saving.register_keras_serializable("tfadv")
class Recomputing(keras.Model):
    """A functional network whose passes in training keep what blocks take and give, and no more.

    Layers, weights and values are those of the plain network. For gradients every block is computed
    once more, so that none may draw or move statistics. `keras.RematScope` wraps each layer for
    itself, which keeps the maps between layers: of convolutions, all there is.

    Args:
        blocks: from the image to the output, each from the image and outputs of earlier ones.
    """

    def __init__(self, image: keras.KerasTensor, blocks: Blocks, name: str) -> None:
        super().__init__(inputs=image, outputs=blocks[-1].output, name=name)
        places = {id(image): 0} | {id(block.output): n for n, block in enumerate(blocks, 1)}
        steps = [
            (keras.Model(list(block.inputs), block.output), [places[id(i)] for i in block.inputs])
            for block in blocks
        ]
        # Within a function: as an attribute, Keras would save their layers a second time.
        self.pass_in_training = lambda image: _computed(steps, image)

    def call(self, inputs: tf.Tensor, training: bool = False, mask: Any = None) -> tf.Tensor:
        return self.pass_in_training(inputs) if training else super().call(inputs, training=False)


def _computed(steps: list[tuple[keras.Model, list[int]]], image: tf.Tensor) -> tf.Tensor:
    values = [image]
    for block, places in steps:
        values.append(_forgetful(block)(*[values[place] for place in places]))
    return values[-1]


def _forgetful(block: keras.Model) -> Callable[..., tf.Tensor]:
    def computed(*inputs: tf.Tensor) -> tf.Tensor:
        return block(list(inputs), training=True)

    return tf.recompute_grad(computed)
