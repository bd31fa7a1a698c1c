"""What every named method must pass by existing. A new one fails until it has its golden."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tfadv.methods.conforming import (
    CHANNELS,
    OF_EACH_PAPER,
    OUTPUTS,
    batch_for,
    every_method,
    same,
    slow_except,
    tiny,
    weights,
    without_noise,
)
from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.methods.card import sizes
from tfadv.methods.controls import SIGNALS
from tfadv.methods.method import PRESETS, Method
from tfadv.players import Players, Update
from tfrecords.errors import SettingError

pytestmark = pytest.mark.usefixtures("seeded")

GOLDENS = Path(__file__).parents[2] / "golden" / "methods"


@slow_except(OF_EACH_PAPER, standing=methods.all_methods())
def test_sizes_equal_goldens(method: type[Method]) -> None:
    found = asdict(sizes(method.configure().players(CHANNELS, OUTPUTS)))
    path = GOLDENS / f"{method.name}.json"
    assert path.is_file(), (
        f"{path}: no such file. Count {method.name}'s sizes from the paper. If these are right, "
        f"python tests/golden/make_methods.py writes them:\n{json.dumps(found, indent=1)}"
    )
    assert found == json.loads(path.read_text())


def test_every_golden_has_its_method() -> None:
    stale = {path.stem for path in GOLDENS.glob("*.json")} - set(methods.all_methods())
    assert not stale, f"no methods of these names: remove {', '.join(sorted(stale))} in {GOLDENS}"


@every_method
def test_illegal_values_are_refused_by_name(method: type[Method]) -> None:
    for known in fields(method):
        for value in known.metadata["check"].illegal:
            with pytest.raises(SettingError, match=rf"^hp\.{known.name}: expected .*received"):
                method.configure("small", [f"{known.name}={value}"])
            with pytest.raises(SettingError, match=rf"^hp\.{known.name}: expected .*received"):
                method(**{known.name: value})
        with pytest.raises(SettingError, match=rf"^hp\.{known.name}: expected"):
            method(**{known.name: None})


@every_method
def test_presets_are_legal_and_every_value_has_a_source(method: type[Method]) -> None:
    for preset in PRESETS:
        assert method.restore(method.configure(preset).values) == method.configure(preset)
    for known in fields(method):
        check = known.metadata["check"]
        assert known.metadata["source"], known.name
        assert check.illegal or isinstance(known.default, bool), known.name


@slow_except({"kohl_hybrid"})
@pytest.mark.parametrize("signal", SIGNALS[1:])
def test_controls_wrap_the_players(method: type[Method], signal: str) -> None:
    """Off: no judge is built. Frozen: it looks on. Shuffled: both move."""
    if "signal" not in method.configure().values:
        pytest.skip("has no judge")
    (known,) = (known for known in fields(method) if known.name == "signal")
    if not known.metadata["check"].holds(signal):
        assert signal == "off"
        with pytest.raises(SettingError, match=r"hp\.signal: .* one of on, frozen, shuffled"):
            tiny(method, signal=signal)
        return
    on, players = (tiny(method, signal=s).players(CHANNELS, OUTPUTS) for s in ("on", signal))
    model = AdversarialModel(players)
    model.compile()
    before = {name: weights(network) for name, network in players.networks.items()}
    logs = model.train_step(batch_for(tiny(method), players))
    moved = {n for n, net in players.networks.items() if trained(before[n], weights(net), net)}
    judges = set(on.networks) - {"segmentor"}
    assert moved == {"segmentor"} | (judges if signal == "shuffled" else set())
    assert set(players.networks) == ({"segmentor"} if signal == "off" else set(on.networks))
    assert all(np.isfinite(float(value)) for value in logs.values())
    assert players.minibatches == on.minibatches


def trained(before: list[np.ndarray], after: list[np.ndarray], network: keras.Model) -> bool:
    """Whether trainable weights moved; moving statistics of a network that looks on may."""
    kinds = [variable.trainable for variable in network.weights]
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    return any(m for m, kind in zip(moved, kinds, strict=True) if kind)


@slow_except({"kohl_hybrid"}, standing=methods.all_methods())
def test_update_moves_its_players_alone(method: type[Method]) -> None:
    players = tiny(method).players(CHANNELS, OUTPUTS)
    model = AdversarialModel(players)
    model.compile()
    for update in players.schedule:
        before = {name: weights(network) for name, network in players.networks.items()}
        model._perform(update, model._split(batch_for(tiny(method), players))[update.minibatch])
        moved = {
            name
            for name, network in players.networks.items()
            if not same(before[name], weights(network))
        }
        assert moved == set(update.trains), update.name


@every_method
def test_an_update_looks_at_what_does_not_move_before_its_turn(method: type[Method]) -> None:
    schedule = list(tiny(method).players(CHANNELS, OUTPUTS).schedule)
    names = [update.name for update in schedule]
    for place, update in enumerate(schedule):
        if update.looks:
            turn = names.index(update.looks)
            assert turn > place
            assert schedule[turn].minibatch == update.minibatch
            moved = {name for one in schedule[place:turn] for name in one.trains}
            assert not moved & set(schedule[turn].trains)


@slow_except({"kohl_hybrid"}, standing=methods.all_methods())
def test_each_term_reaches_all_weights_it_claims(method: type[Method]) -> None:
    players = tiny(method).players(CHANNELS, OUTPUTS)
    batch = AdversarialModel(players)._split(batch_for(tiny(method), players))[0]
    for update in players.schedule:
        with tf.GradientTape(persistent=True) as tape:
            outcome = update.outcome(players.networks, batch)
        variables = [
            v for name in update.trains for v in players.networks[name].trainable_variables
        ]
        for term in update.terms:
            value = outcome.terms[term.name]
            gradients = tape.gradient(value, [variable.value for variable in variables])
            for variable, gradient in zip(variables, gradients, strict=True):
                reached = gradient is not None and np.any(gradient.numpy() != 0)
                assert reached != variable.path.endswith(term.unreached or "/"), (
                    f"{term.name} and {variable.path}: a term reaches all weights, or names those "
                    "that it cannot reach in `unreached`"
                )


@slow_except({"kohl_hybrid"}, standing=methods.all_methods())
def test_each_player_moves_the_loss_its_way(method: type[Method]) -> None:
    """After a short step, the loss with one player's new weights and the others' old ones."""
    configured = tiny(method)
    if "epsilon" in configured.values:
        # A step takes the perturbation for a constant; found anew after it, it would be another.
        configured = tiny(method, epsilon=1e-3)
    players = without_noise(configured.players(CHANNELS, OUTPUTS))
    for network in players.networks.values():
        for variable in network.trainable_variables:
            variable.constraint = None  # Clamping alone may move weights further than the step.
    rates = {name: keras.optimizers.SGD(1e-4) for name in players.optimizers}
    model = AdversarialModel(replace(players, optimizers=rates))
    model.compile()
    minibatches = model._split(batch_for(tiny(method), players))
    old = {name: network.get_weights() for name, network in players.networks.items()}
    for update in players.schedule:
        for name, network in players.networks.items():
            network.set_weights(old[name])
        batch = minibatches[update.minibatch]
        before = total_loss(update, players, batch)
        model._perform(update, batch)
        new = {name: network.get_weights() for name, network in players.networks.items()}
        for mover in update.trains:
            for name, network in players.networks.items():
                network.set_weights(new[name] if name == mover else old[name])
            after = total_loss(update, players, batch)
            assert after > before if mover in update.ascends else after < before, mover


def total_loss(update: Update, players: Players, batch: dict[str, tf.Tensor]) -> float:
    return sum(float(value) for value in update.outcome(players.networks, batch).terms.values())


HALVINGS = 3  # Of a loss' scale; Moeskops' ascent through a minibatch of two takes up to two.


@slow_except({"kohl_hybrid", "segan_s3_1c"})
def test_bfloat16_step_is_finite(method: type[Method]) -> None:
    model, logs = stepped(method, "mixed_bfloat16")
    assert is_finite(model, logs), logs
    assert model(batch_for(tiny(method), model.players)["image"]).dtype == tf.float32


@slow_except({"kohl_hybrid", "segan_s3_1c"}, standing={"reciprocal_critic"})
def test_float16_step_is_finite(method: type[Method]) -> None:
    """And every optimizer finds a scale at which nothing overflows."""
    model, logs = stepped(method, "mixed_float16")
    assert is_finite(model, logs), logs
    for _ in range(HALVINGS):
        if not all(int(o.iterations) for o in model.optimizer_list):
            model.train_step(batch_for(tiny(method), model.players))
    assert all(int(o.iterations) for o in model.optimizer_list), "an update was left out each time"


def stepped(method: type[Method], precision: str) -> tuple[AdversarialModel, dict[str, tf.Tensor]]:
    """A model after its first step, and that step's logs."""
    keras.config.set_dtype_policy(precision)
    model = AdversarialModel(tiny(method).players(CHANNELS, OUTPUTS))
    model.compile()
    return model, model.train_step(batch_for(tiny(method), model.players))


def is_finite(model: AdversarialModel, logs: dict[str, tf.Tensor]) -> bool:
    """Whether all logs and all weights are."""
    networks = model.players.networks.values()
    values = [*map(float, logs.values()), *(w for network in networks for w in weights(network))]
    return all(np.isfinite(value).all() for value in values)
