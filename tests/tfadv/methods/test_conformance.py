"""What every named method must pass by existing. A new one fails until it has its golden."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv import methods
from tfadv.adversarial import AdversarialModel, Players, Update
from tfadv.inference.targets import Targets
from tfadv.methods.card import sizes
from tfadv.methods.controls import SIGNALS
from tfadv.methods.method import PRESETS, Method
from tfadv.training.gradients import readings
from tfrecords.errors import SettingError
from tfrecords.sources.subject import LabelClass

CHANNELS = 3
OUTPUTS = ("a", "b", "c", "d")
MANIFEST: Any = SimpleNamespace(
    classes=[LabelClass(name, (0,)) for name in OUTPUTS], regions={}, class_index=OUTPUTS.index
)
every_method = pytest.mark.parametrize(
    "method", methods.all_methods().values(), ids=lambda m: m.name
)

# The others, on the same machinery, are slow.
QUICK = {"kohl_hybrid", "moeskops_dilated_adversarial", "segan_s3_1c", "reciprocal_critic"}
a_method_of_each_paper = pytest.mark.parametrize(
    "method",
    [
        pytest.param(method, id=name, marks=[] if name in QUICK else pytest.mark.slow)
        for name, method in methods.all_methods().items()
    ],
)


@pytest.fixture(autouse=True)
def _float32() -> Iterator[None]:
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


def tiny(method: type[Method], **values: Any) -> Method:
    """The small preset, smaller still."""
    small = {"precision": "float32", "batch_size": 2, "epochs": 2, "steps_per_epoch": 2}
    return replace(method.configure("small"), **(small | values))


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


GOLDENS = Path(__file__).parents[2] / "golden" / "methods"


@every_method
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


@every_method
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


@every_method
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


@every_method
def test_each_player_moves_the_loss_its_way(method: type[Method]) -> None:
    """After a short step, the loss with one player's new weights and the others' old ones."""
    configured = tiny(method)
    if "epsilon" in configured.values:
        # A step takes the perturbation for a constant; found anew after it, it would be another.
        configured = tiny(method, epsilon=1e-3)
    for position in range(len(configured.players(CHANNELS, OUTPUTS).schedule)):
        players = without_noise(configured.players(CHANNELS, OUTPUTS))
        for network in players.networks.values():
            for variable in network.trainable_variables:
                variable.constraint = None  # Clamping alone may move weights further than the step.
        rates = {name: keras.optimizers.SGD(1e-4) for name in players.optimizers}
        model = AdversarialModel(replace(players, optimizers=rates))
        model.compile()
        update = players.schedule[position]
        batch = model._split(batch_for(tiny(method), players))[update.minibatch]
        old = {name: network.get_weights() for name, network in players.networks.items()}
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
    found = Passed(
        {name: float(value) for name, value in terms.items()},
        {n: [g.numpy() for g in tape.gradient(v, variables, None, zero)] for n, v in terms.items()},
        {n: [g.numpy() for g in tape.gradient(v, answers, None, zero)] for n, v in terms.items()},
    )
    for name, network in players.networks.items():
        network.set_weights(before[name])
    return found


def assert_alike(first: Passed, second: Passed) -> None:
    for name, value in first.values.items():
        np.testing.assert_allclose(value, second.values[name], rtol=1e-5, err_msg=name)
        for one, other in zip(first.weights[name], second.weights[name], strict=True):
            scale = 1e-5 * np.abs(one).max(initial=1e-6)
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=scale, err_msg=name)


@every_method
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


@every_method
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


@every_method
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


@a_method_of_each_paper
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
            for what in ("norm", "map_norm", "cosine", "map_cosine", "towards_truth")
        }
        np.testing.assert_allclose(values["norm"], np.linalg.norm(gradient), rtol=1e-3)
        np.testing.assert_allclose(values["map_norm"], np.linalg.norm(steps[name]), rtol=1e-3)
        probabilities = targets.probabilities(logits).numpy().astype(float)
        expected = cosine_of(steps[name], truth - probabilities)
        np.testing.assert_allclose(values["map_cosine"], expected, atol=1e-3)
        np.testing.assert_allclose(
            values["towards_truth"], share_towards(steps[name], logits, truth, targets), atol=1e-3
        )
        if supervised and name != supervised:
            np.testing.assert_allclose(
                values["cosine"], cosine_of(gradient, found[supervised]), atol=1e-3
            )
        assert np.isnan(values["cosine"]) == (name == supervised)


def flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in arrays]).astype(float)


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


@a_method_of_each_paper
def test_two_replicas_equal_one(method: type[Method], mirrored: tf.distribute.Strategy) -> None:
    """With SGD, since Adam would hide gradients of another scale (three steps)."""
    one = _trained_weights(method, tf.distribute.get_strategy())
    two = _trained_weights(method, mirrored)
    for name, values in one.items():
        for single, mirrored in zip(values, two[name], strict=True):
            np.testing.assert_allclose(single, mirrored, rtol=0, atol=2e-6)


@every_method
@pytest.mark.slow
def test_two_replicas_train_with_noise(
    method: type[Method], mirrored: tf.distribute.Strategy
) -> None:
    with mirrored.scope():
        players = tiny(method).players(CHANNELS, OUTPUTS)
        model = AdversarialModel(players)
        model.compile()
    if not any(random_layers(network) for network in players.networks.values()):
        pytest.skip("draws nothing: the test without noise is the same")
    history = model.fit(_repeated(method, players, replicas=2), verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())


@pytest.mark.parametrize("name", ["kohl_hybrid", "moeskops_fcn_adversarial", "segan_s3_3c"])
@pytest.mark.slow
def test_a_graph_of_two_replicas_does_what_that_of_one_does(
    name: str, mirrored: tf.distribute.Strategy
) -> None:
    """`fit` traces the step that the tests above take without a graph.

    One step: graphs round otherwise, and gradients as large as these make more of it each time.
    """
    method = methods.get(name)
    one = _trained_weights(method, tf.distribute.get_strategy(), steps=1, fit=True)
    two = _trained_weights(method, mirrored, steps=1, fit=True)
    for player, values in one.items():
        for single, mirrored in zip(values, two[player], strict=True):
            np.testing.assert_allclose(single, mirrored, rtol=0, atol=2e-5)


def _repeated(
    method: type[Method], players: Players, replicas: int, steps: int = 3
) -> tf.data.Dataset:
    """Equal batches."""
    batch = batch_for(tiny(method), players, replicas)
    count = batch["label"].shape[0]
    return tf.data.Dataset.from_tensor_slices(batch).repeat(steps).batch(count, drop_remainder=True)


def _trained_weights(
    method: type[Method], strategy: tf.distribute.Strategy, steps: int = 3, *, fit: bool = False
) -> dict[str, list[np.ndarray]]:
    keras.utils.set_random_seed(1)
    with strategy.scope():
        players = without_noise(tiny(method).players(CHANNELS, OUTPUTS))
        rates = {name: keras.optimizers.SGD(1e-2) for name in players.optimizers}
        model = AdversarialModel(replace(players, optimizers=rates))
        model.compile()
    start = {name: weights(network) for name, network in players.networks.items()}
    if fit:
        model.fit(_repeated(method, players, strategy.num_replicas_in_sync, steps), verbose=0)
    else:  # Without a graph, whose tracing takes many times as long.
        batch = batch_for(tiny(method), players)
        for _ in range(steps):
            strategy.run(model.train_step, (batch,))
    end = {name: weights(network) for name, network in players.networks.items()}
    assert not any(same(start[name], end[name]) for name in start)
    return end


@every_method
def test_bfloat16_step_is_finite(method: type[Method]) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    players = tiny(method).players(CHANNELS, OUTPUTS)
    model = AdversarialModel(players)
    model.compile()
    logs = model.train_step(batch_for(tiny(method), players))
    assert all(np.isfinite(float(value)) for value in logs.values()), logs
    assert all(np.isfinite(w).all() for n in players.networks.values() for w in weights(n))
    image = batch_for(tiny(method), players)["image"]
    assert model(image).dtype == tf.float32
