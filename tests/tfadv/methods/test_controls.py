"""Controls of a judge's signal: off, frozen at its random start, told by lot which map is true."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.training.callbacks import set_random_states

SIZE = 16


def model(*overrides: str) -> AdversarialModel:
    keras.utils.set_random_seed(1)
    method = methods.get("kohl_hybrid")
    tiny = [
        "width=2",
        "discriminator_width=2",
        "label_noise=0",
        "discriminator_poolings=1",
        "convolutions=1",
    ]
    configured = method.configure("small", ["precision=float32", *tiny, *overrides])
    made = AdversarialModel(configured.players(1, ["background", "tumour"]))
    made.compile()
    return made


def batch(pairs: int) -> dict[str, tf.Tensor]:
    random = np.random.default_rng(0)
    image = random.normal(size=(pairs, SIZE, SIZE, 1)).astype(np.float32)
    return {"image": tf.constant(image), "label": tf.constant((image[..., 0] > 1).astype(np.uint8))}


def discriminator_loss(made: AdversarialModel, data: dict[str, tf.Tensor]) -> float:
    networks: Any = made.players.networks
    outcome = made.players.schedule[0].outcome(networks, data)
    return float(outcome.terms["discriminator_loss"])


@pytest.mark.slow
def test_lots_swap_half_of_the_pairs() -> None:
    """With one pair, the loss is that of the right or of the wrong kinds, each about as often."""
    data = batch(1)
    right, lots = model(), model("signal=shuffled")
    networks: Any = right.players.networks
    truth = tf.one_hot(data["label"], 2)
    fake = tf.nn.softmax(networks["segmentor"](data["image"], training=True))
    true, generated = (
        float(networks["discriminator"]([data["image"], maps], training=True)[0, 0])
        for maps in (truth, fake)
    )
    softplus = lambda x: np.log1p(np.exp(x))  # noqa: E731
    straight = softplus(-true) + softplus(generated)
    swapped = softplus(-generated) + softplus(true)
    assert abs(straight - swapped) > 1e-4
    assert discriminator_loss(right, data) == pytest.approx(straight, abs=1e-5)
    found = []
    for step in range(40):
        lots.players.optimizers["discriminator"].iterations.assign(step)
        found.append(discriminator_loss(lots, data))
    kinds = [min(abs(loss - straight), abs(loss - swapped)) for loss in found]
    assert max(kinds) < 1e-5
    assert 10 < sum(abs(loss - swapped) < 1e-5 for loss in found) < 30


def test_lots_follow_the_step() -> None:
    made = model("signal=shuffled")
    data = batch(8)
    first, again = discriminator_loss(made, data), discriminator_loss(made, data)
    assert first == again
    made.players.optimizers["discriminator"].iterations.assign_add(1)
    assert discriminator_loss(made, data) != first


@pytest.mark.parametrize("signal", ["on", "frozen", "off"])
def test_a_frozen_judge_stays_as_it_began_and_an_absent_one_is_not_built(signal: str) -> None:
    made = model(f"signal={signal}")
    before = {name: net.get_weights() for name, net in made.players.networks.items()}
    minibatches = batch(4 * made.players.minibatches)
    made.train_step(minibatches)
    moved = {
        name
        for name, net in made.players.networks.items()
        if any(
            not np.array_equal(old, new)
            for old, new in zip(before[name], net.get_weights(), strict=True)
        )
    }
    assert moved == ({"segmentor", "discriminator"} if signal == "on" else {"segmentor"})
    assert ("discriminator" in made.players.networks) == (signal != "off")


def test_the_segmentor_sees_the_same_minibatches_under_all_controls() -> None:
    found = {signal: model(f"signal={signal}").players for signal in ("on", "off", "frozen")}
    assert {players.minibatches for players in found.values()} == {4}
    assert {players.schedule[-1].minibatch for players in found.values()} == {3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "size", "label", "term"),
    [
        ("kohl_hybrid", (16, 16, 1), (16, 16), "segmentor_adversarial"),
        ("kohl_purely_adversarial", (16, 16, 1), (16, 16), "segmentor_adversarial"),
        ("moeskops_fcn_adversarial", (51, 51, 1), (21, 21), "adversarial"),
        ("reciprocal_critic", (16, 16, 16, 1), (16, 16, 16, 2), "segmentor_adversarial"),
    ],
)
def test_unlabelled_images_move_the_verdict_alone(
    method: str, size: tuple[int, ...], label: tuple[int, ...], term: str
) -> None:
    values = ["precision=float32", "unlabelled=true"]
    configured = methods.get(method).configure("small", values)
    players = configured.build(1, ("a", "b"))
    random = np.random.default_rng(0)
    batch = {
        "image": tf.constant(random.normal(size=(4, *size)), tf.float32),
        "label": tf.constant(random.integers(0, 2, (4, *label)), tf.uint8),
    }

    weights = {name: network.get_weights() for name, network in players.networks.items()}

    def terms(**others: tf.Tensor) -> dict[str, float]:
        """Of all updates, with the same noise and moving statistics."""
        found = {}
        for name, network in players.networks.items():
            network.set_weights(weights[name])
        for update in players.schedule:
            set_random_states(players.networks.values(), 0, 0)
            outcome = update.outcome(players.networks, batch | others)
            found |= {name: float(value) for name, value in outcome.terms.items()}
        return found

    alone, same = terms(), terms(unlabelled=batch["image"])
    other = terms(unlabelled=1 - batch["image"])
    assert {name for name in same if same[name] != other[name]} == {term}
    assert {name for name in alone if alone[name] != other[name]} == {term}
    # Of the labelled images themselves, both halves are one, but for dropout.
    assert same[term] == pytest.approx(alone[term], rel=0.2)
