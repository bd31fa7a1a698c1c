"""Odd volumes at the exported model's door."""

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.campaign.inside import Inside
from tests.campaign.material import Material, volume
from tests.campaign.mutations import Random
from tests.campaign.outcome import Outcome, Result, Trial, count
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir


def _one_voxel(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array[tuple(extent // 2 for extent in array.shape)] = value
        return array

    return change


# What is wrong with a volume and must be refused.
WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one NaN": _one_voxel(np.nan),
    "one infinity": _one_voxel(np.inf),
    "all NaN": lambda array: np.full_like(array, np.nan),
    "a channel more": lambda array: np.concatenate([array, array[..., :1]], axis=-1),
    "a channel less": lambda array: array[..., :1],
    "no channel": lambda array: array[..., :0],
    "no slices": lambda array: array[:0],
    "no columns": lambda array: array[:, :, :0],
    "three axes": lambda array: array[..., 0],
    "all zero": np.zeros_like,
    "all equal": np.ones_like,
    "one channel equal": lambda array: np.stack([array[..., 0], 0 * array[..., 1]], axis=-1),
}
SIZES = ((1, 1, 1), (1, 7, 5), (3, 2, 11), (9, 13, 17), (2, 31, 3), (10, 14, 12))


def trials(material: Material, random: Random, share: float, inside: Inside) -> Iterator[Trial]:
    for number in range(count(200, share)):
        seed = int(random.integers(2**32))
        names = list(WRONG)
        wrong = names[number // 2 % len(names)] if number % 2 else ""
        run = partial(_volume, material, inside, wrong, seed)
        yield Trial("volumes at the model", f"{wrong or 'odd size'}, seed {seed}", run)


def _volume(material: Material, inside: Inside, wrong: str, seed: int, folder: Path) -> Result:
    random = np.random.default_rng(seed)
    array = volume(random, (*SIZES[int(random.integers(len(SIZES)))], 2))
    array *= 10.0 ** random.integers(-30, 30)
    if wrong:
        return inside.tried(served, material.model, WRONG[wrong](array), expected="refused")
    # What evaluation refuses, such as a single voxel, the model must refuse as well.
    evaluation = inside.tried(evaluated, material.run, array, expected="")
    if evaluation.outcome is Outcome.SILENT:
        return inside.tried(served, material.model, array, expected=evaluation.said)
    answer = inside.tried(served, material.model, array, expected="refused")
    return answer if evaluation.outcome is Outcome.REFUSED else evaluation


@lru_cache(maxsize=1)
def _serve(model: Path) -> Callable[..., dict[str, tf.Tensor]]:
    loaded = tf.saved_model.load(str(model))
    _serve.loaded = loaded  # type: ignore[attr-defined]  # Its variables live as long as it does.
    return loaded.signatures["serving_default"]


@lru_cache(maxsize=1)
def _predict(run: Path) -> Callable[..., dict[str, tf.Tensor]]:
    return load_run(WorkDir(run)).predictor.predict


def served(model: Path, array: np.ndarray) -> str:
    """A digest of the model's answer. A refusal by the graph is one by UserError here."""
    return _digest(_serve(model)(volume=tf.constant(array)))


def label_of(model: Path, array: np.ndarray) -> np.ndarray:
    """The model's label map of an array that it takes."""
    return _serve(model)(volume=tf.constant(array))["label"].numpy()


def evaluated(run: Path, array: np.ndarray) -> str:
    return _digest(_predict(run)(tf.constant(array)))


def _digest(answer: dict[str, tf.Tensor]) -> str:
    label, probabilities = answer["label"].numpy(), answer["probabilities"].numpy()
    if not np.isfinite(probabilities).all() or not set(np.unique(label)) <= {0, 1, 2}:
        raise ValueError(f"expected a label map and probabilities, received {label}")
    return hashlib.sha256(label.tobytes() + probabilities.tobytes()).hexdigest()
