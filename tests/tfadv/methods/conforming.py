"""What the conformance suites share: tiny methods, their batches, what an update's pass gives."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv import methods
from tfadv.methods.method import Method
from tfadv.players import Players, Update
from tfrecords.sources.subject import LabelClass

CHANNELS = 3

OUTPUTS = ("a", "b", "c", "d")

MANIFEST: Any = SimpleNamespace(
    classes=[LabelClass(name, (0,)) for name in OUTPUTS], regions={}, class_index=OUTPUTS.index
)

every_method = pytest.mark.parametrize(
    "method", methods.all_methods().values(), ids=lambda m: m.name
)

OF_EACH_PAPER = {"kohl_hybrid", "moeskops_dilated_adversarial", "segan_s3_1c", "reciprocal_critic"}


def slow_except(
    quick: Container[str],
    every: Mapping[str, type[Method]] | None = None,
    standing: Container[str] = OF_EACH_PAPER,
) -> pytest.MarkDecorator:
    """Every method, or those that are given; all but the quick ones are marked slow.

    Those beside one of each paper take the same ways with other terms: they are `variants`.

    Args:
        standing: those that stand for the others, if not one of each paper.
    """

    def marks(name: str) -> list[pytest.MarkDecorator]:
        if name in quick:
            return []
        return [pytest.mark.slow, *([] if name in standing else [pytest.mark.variants])]

    cases = [
        pytest.param(method, id=name, marks=marks(name))
        for name, method in (every or methods.all_methods()).items()
    ]
    return pytest.mark.parametrize("method", cases)


# Of these, what a method has: operations take as long to trace whatever their width is.
TINY = {"precision": "float32", "batch_size": 2, "epochs": 2, "steps_per_epoch": 2} | {
    "crop_size": 32,
    "convolutions": 1,
    "width": 4,
    "discriminator_width": 4,
    "critic_width": 4,
}


def tiny_values(method: type[Method]) -> dict[str, Any]:
    has = {field.name for field in fields(method)}
    return {name: value for name, value in TINY.items() if name in has}


def tiny(method: type[Method], **values: Any) -> Method:
    """The small preset, smaller still."""
    return replace(method.configure("small"), **(tiny_values(method) | values))


def batch_for(method: Method, players: Players, replicas: int = 1) -> dict[str, tf.Tensor]:
    """A batch of one replica, repeated for each."""
    random = np.random.default_rng(0)
    count = 2 * players.minibatches
    size, label_size = sizes_of(method)
    image = random.normal(size=(count, *size, CHANNELS)).astype(np.float32)
    # Class indices, or a mask for each region.
    exclusive = method.targets(MANIFEST).exclusive
    shape = (count, *label_size, *(() if exclusive else (len(OUTPUTS),)))
    label = random.integers(0, len(OUTPUTS) if exclusive else 2, shape).astype(np.uint8)
    return {
        "image": tf.constant(np.concatenate([image] * replicas)),
        "label": tf.constant(np.concatenate([label] * replicas)),
    }


def sizes_of(method: Method) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of an image and of its label."""
    view = method.view
    if view.kind == "patches":
        return (view.patch_size,) * 2, (view.label_size,) * 2
    return ((32,) * 2,) * 2 if view.kind == "slices" else ((16,) * 3,) * 2


def weights(network: keras.Model) -> list[np.ndarray]:
    """Everything but the states of random generators."""
    return [variable.numpy() for variable in network.weights]


def without_noise(players: Players) -> Players:
    """Replicas draw noise and dropout of their own: without, they can be compared."""
    for network in players.networks.values():
        for layer in random_layers(network):
            for name in {"stddev", "rate"} & set(vars(layer)):
                setattr(layer, name, 0.0)
    return players


def random_layers(network: keras.Model) -> list[keras.Layer]:
    return [layer for layer in network._flatten_layers() if hasattr(layer, "seed_generator")]


def same(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@dataclass(frozen=True)
class Passed:
    """What an update's terms gave.

    Attributes:
        values: by term.
        weights: gradients with respect to all weights of all networks, by term.
        logits: gradients with respect to each answer of the segmentor, by term.
    """

    values: dict[str, float]
    weights: dict[str, list[np.ndarray]]
    logits: dict[str, list[np.ndarray]]


def passed(update: Update, players: Players, batch: dict[str, tf.Tensor]) -> Passed:
    """An update's pass, which leaves all statistics as they were."""
    answers: list[tf.Tensor] = []

    def segmentor(image: tf.Tensor, **options: bool) -> tf.Tensor:
        answers.append(players.networks["segmentor"](image, **options))
        return answers[-1]

    before = {name: network.get_weights() for name, network in players.networks.items()}
    networks: Any = {**players.networks, "segmentor": segmentor}
    with tf.GradientTape(persistent=True) as tape:
        terms = update.outcome(networks, batch).terms
    variables = [v.value for n in players.networks.values() for v in n.trainable_variables]
    zero = tf.UnconnectedGradients.ZERO
    gradients = {
        name: [g.numpy() for g in tape.gradient(value, [*variables, *answers], None, zero)]
        for name, value in terms.items()
    }
    found = Passed(
        {name: float(value) for name, value in terms.items()},
        {name: both[: len(variables)] for name, both in gradients.items()},
        {name: both[len(variables) :] for name, both in gradients.items()},
    )
    for name, network in players.networks.items():
        network.set_weights(before[name])
    return found


def flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in arrays]).astype(float)
