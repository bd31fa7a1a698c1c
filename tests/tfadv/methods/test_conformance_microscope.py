"""What the microscope reads of every named method, held against a tape of its own."""

import numpy as np
import pytest
import tensorflow as tf

from tests.tfadv.methods.conforming import (
    CHANNELS,
    MANIFEST,
    OUTPUTS,
    batch_for,
    flat,
    passed,
    slow_except,
    tiny,
    without_noise,
)
from tfadv.adversarial import AdversarialModel
from tfadv.inference.targets import Targets
from tfadv.methods.method import Method
from tfadv.training.gradients import readings

pytestmark = pytest.mark.usefixtures("seeded")


@slow_except({"kohl_hybrid"})
def test_the_microscope_reads_the_gradients_of_training(method: type[Method]) -> None:
    """Every term that moves the segmentor, held against a tape of its own and steps in NumPy."""
    players = without_noise(tiny(method).players(CHANNELS, OUTPUTS))
    targets = tiny(method).targets(MANIFEST)
    batch = AdversarialModel(players)._split(batch_for(tiny(method), players))[0]
    before = [network.get_weights() for network in players.networks.values()]
    read = readings(players.networks, players.schedule, batch, targets)
    for network, old in zip(players.networks.values(), before, strict=True):
        network.set_weights(old)  # The pass moved its statistics.
    own = len(players.networks["segmentor"].trainable_variables)
    logits = players.networks["segmentor"](batch["image"], training=True)
    truth = batch["label"].numpy()
    truth = np.eye(len(OUTPUTS))[truth] if targets.exclusive else truth.astype(float)
    found, steps = {}, {}
    for update in players.schedule:
        if "segmentor" in update.trains:
            one = passed(update, players, batch)
            sign = -1 if "segmentor" in update.ascends else 1
            for term in update.terms:
                found[term.name] = sign * flat(one.weights[term.name][:own])
                steps[term.name] = -sign * one.logits[term.name][0].astype(float)
    verdicts = {t.name: t.verdict for update in players.schedule for t in update.terms}
    supervised = next((name for name in found if not verdicts[name]), None)
    for name, gradient in found.items():
        values = {
            what: float(read.get(f"gradients/{name}/{what}", np.nan))
            for what in ("norm", "map_norm", "cosine", "map_cosine", "towards_truth", "surer")
        }
        np.testing.assert_allclose(values["norm"], np.linalg.norm(gradient), rtol=1e-3)
        np.testing.assert_allclose(values["map_norm"], np.linalg.norm(steps[name]), rtol=1e-3)
        probabilities = targets.probabilities(logits).numpy().astype(float)
        expected = cosine_of(steps[name], truth - probabilities)
        np.testing.assert_allclose(values["map_cosine"], expected, atol=1e-3)
        decided = targets.probabilities(logits).numpy() > 0.5
        if targets.exclusive:
            decided = np.eye(len(OUTPUTS))[logits.numpy().argmax(-1)]
        expected = cosine_of(steps[name], decided - probabilities)
        np.testing.assert_allclose(values["surer"], expected, atol=1e-3)
        np.testing.assert_allclose(
            values["towards_truth"], share_towards(steps[name], logits, truth, targets), atol=1e-3
        )
        if supervised and name != supervised:
            np.testing.assert_allclose(
                values["cosine"], cosine_of(gradient, found[supervised]), atol=1e-3
            )
        assert np.isnan(values["cosine"]) == (name == supervised)


def cosine_of(one: np.ndarray, other: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.sum(one * other) / (np.linalg.norm(one) * np.linalg.norm(other)))


def share_towards(
    step: np.ndarray, logits: tf.Tensor, truth: np.ndarray, targets: Targets
) -> float:
    """By taking the step: of what is wrong and moves, the share whose true probability grows."""
    if not step.any():
        return np.nan
    one = logits.numpy().astype(float)
    stays, moves = (of(z, targets) for z in (one, one + 1e-4 / np.abs(step).max() * step))
    if targets.exclusive:
        wrong = np.argmax(one, -1) != np.argmax(truth, -1)
        growth = np.sum((moves - stays) * truth, -1)
    else:
        wrong = (one > 0) != (truth > 0)
        growth = np.where(truth > 0, 1, -1) * (moves - stays)
    return float((growth[wrong] > 0).sum() / (growth[wrong] != 0).sum())


def of(logits: np.ndarray, targets: Targets) -> np.ndarray:
    """Probabilities, in float64."""
    if targets.exclusive:
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        return shares / shares.sum(-1, keepdims=True)
    return 1 / (1 + np.exp(-logits))
