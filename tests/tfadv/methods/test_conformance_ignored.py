"""Voxels that nobody annotated count in no loss of any named method, and teach nothing."""

import numpy as np
import pytest
import tensorflow as tf

from tests.tfadv.methods.conforming import (
    CHANNELS,
    MANIFEST,
    OUTPUTS,
    Passed,
    batch_for,
    passed,
    sizes_of,
    slow_except,
    tiny,
    without_noise,
)
from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.methods.method import Method

pytestmark = pytest.mark.usefixtures("seeded")


def assert_alike(first: Passed, second: Passed) -> None:
    for name, value in first.values.items():
        np.testing.assert_allclose(value, second.values[name], rtol=1e-5, err_msg=name)
        for one, other in zip(first.weights[name], second.weights[name], strict=True):
            scale = 1e-5 * np.abs(one).max(initial=1e-6)
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=scale, err_msg=name)


@slow_except({"kohl_hybrid"}, standing=methods.all_methods())
def test_what_nobody_annotated_counts_nothing(method: type[Method]) -> None:
    """Whatever is true there, a term and its gradients are the same, and it asks for nothing."""
    players = without_noise(tiny(method).players(CHANNELS, OUTPUTS))
    batch = batch_for(tiny(method), players)
    exclusive = tiny(method).targets(MANIFEST).exclusive
    shape = batch["label"].shape if exclusive else batch["label"].shape[:-1]
    # Of each two samples, a fifth and a half of the voxels are not annotated.
    shares = np.resize([0.2, 0.5], shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    annotated = np.random.default_rng(1).random(shape) >= shares
    label = batch["label"].numpy()
    other = np.where(annotated if exclusive else annotated[..., None], label, 1 - label % 2)
    batches = [
        {**batch, "label": tf.constant(kind), "annotated": tf.constant(annotated, tf.uint8)}
        for kind in (label, other.astype(np.uint8))
    ]
    first, second = (AdversarialModel(players)._split(kind) for kind in batches)
    for update in players.schedule:
        one, two = (passed(update, players, kind[update.minibatch]) for kind in (first, second))
        assert_alike(one, two)
        inside = first[update.minibatch]["annotated"].numpy().astype(bool)
        reached = dict.fromkeys(one.logits, False)
        for name, gradients in one.logits.items():
            for gradient in gradients:
                assert np.isfinite(gradient).all(), name
                assert not gradient[~inside].any(), f"{name} moves what nobody annotated"
                reached[name] |= bool(gradient[inside].any())
        assert all(reached.values()) or "segmentor" not in update.trains, reached


@slow_except({"kohl_hybrid"})
def test_all_annotated_is_as_if_nothing_was_said_of_it(method: type[Method]) -> None:
    players = without_noise(tiny(method).players(CHANNELS, OUTPUTS))
    batch = batch_for(tiny(method), players)
    _, label_size = sizes_of(method)
    annotated = tf.ones([len(batch["label"]), *label_size], tf.uint8)
    without = AdversarialModel(players)._split(batch)
    given = AdversarialModel(players)._split({**batch, "annotated": annotated})
    for update in players.schedule:
        chosen = update.minibatch
        one, two = (passed(update, players, kind[chosen]) for kind in (without, given))
        assert_alike(one, two)


@slow_except({"kohl_hybrid"}, standing=methods.all_methods())
def test_a_minibatch_that_nobody_annotated_teaches_the_segmentor_nothing(
    method: type[Method],
) -> None:
    players = without_noise(tiny(method).players(CHANNELS, OUTPUTS))
    batch = batch_for(tiny(method), players)
    _, label_size = sizes_of(method)
    batch["annotated"] = tf.zeros([len(batch["label"]), *label_size], tf.uint8)
    split = AdversarialModel(players)._split(batch)
    own = len(players.networks["segmentor"].trainable_variables)
    for update in players.schedule:
        found = passed(update, players, split[update.minibatch])
        verdicts = {term.name for term in update.terms if term.verdict}
        for name, value in found.values.items():
            assert np.isfinite(value), name
            assert all(np.isfinite(gradient).all() for gradient in found.weights[name]), name
            assert not any(gradient.any() for gradient in found.weights[name][:own]), name
            if "segmentor" in update.trains and name not in verdicts:
                np.testing.assert_allclose(value, 0, atol=1e-6, err_msg=name)
