"""What every named method must pass by existing. A new one fails until it has its golden."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv import methods
from tfadv.adversarial import AdversarialModel, Players, Update
from tfadv.inference.export import export
from tfadv.methods.method import Method
from tfadv.methods.receptive_field import receptive_field
from tfadv.run.run import build_model, load_run
from tfadv.run.settings import settings_of
from tfadv.run.split import choose_split
from tfadv.run.work_dir import Progress, WorkDir
from tfadv.training.train import train
from tfrecords.reading.record_set import RecordSet, subject_volumes
from tfrecords.sources.subject import LabelClass

GOLDENS = json.loads((Path(__file__).parents[2] / "golden" / "methods.json").read_text())
CHANNELS = 3
OUTPUTS = ("a", "b", "c", "d")
MANIFEST: Any = SimpleNamespace(
    classes=[LabelClass(name, (0,)) for name in OUTPUTS], regions={}, class_index=OUTPUTS.index
)
every_method = pytest.mark.parametrize(
    "method", methods.all_methods().values(), ids=lambda m: m.name
)


@pytest.fixture(autouse=True)
def _float32() -> Any:
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


def tiny(method: Method, **values: Any) -> Any:
    """The small preset, smaller still."""
    return replace(method.resolve("small"), batch_size=2, epochs=2, steps_per_epoch=2, **values)


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


@every_method
def test_sizes_equal_goldens(method: Method) -> None:
    golden = GOLDENS[method.name]
    players = method.build(method.resolve(), CHANNELS, OUTPUTS)
    counts = {name: network.count_params() for name, network in players.networks.items()}
    assert counts == golden["parameters"]
    assert receptive_field(players.networks["segmentor"]) == golden["receptive_field"]


@every_method
def test_update_moves_its_players_alone(method: Method) -> None:
    players = method.build(tiny(method), CHANNELS, OUTPUTS)
    model = AdversarialModel(players)
    model.compile()
    for update in players.schedule:
        before = {name: weights(network) for name, network in players.networks.items()}
        model._perform(update, model._split(batch_for(method, players))[update.minibatch])
        moved = {
            name
            for name, network in players.networks.items()
            if not same(before[name], weights(network))
        }
        assert moved == set(update.trains), update.name


@every_method
def test_each_term_reaches_all_weights_it_claims(method: Method) -> None:
    players = method.build(tiny(method), CHANNELS, OUTPUTS)
    batch = AdversarialModel(players)._split(batch_for(method, players))[0]
    for update in players.schedule:
        with tf.GradientTape(persistent=True) as tape:
            outcome = update.loss(players.networks, batch)
        assert tuple(outcome.terms) == update.terms
        assert set(outcome.observed) == set(update.observes)
        variables = [
            v for name in update.trains for v in players.networks[name].trainable_variables
        ]
        for term, value in outcome.terms.items():
            gradients = tape.gradient(value, [variable.value for variable in variables])
            for variable, gradient in zip(variables, gradients, strict=True):
                assert gradient is not None, (term, variable.path)
                assert np.any(gradient.numpy() != 0), (term, variable.path)


@every_method
def test_each_player_moves_the_loss_its_way(method: Method) -> None:
    """After a short step, the loss with one player's new weights and the others' old ones."""
    hp = tiny(method)
    if hasattr(hp, "epsilon"):
        # A step takes the perturbation for a constant; found anew after it, it would be another.
        hp = replace(hp, epsilon=1e-3)
    for position in range(len(method.build(hp, CHANNELS, OUTPUTS).schedule)):
        players = without_noise(method.build(hp, CHANNELS, OUTPUTS))
        for network in players.networks.values():
            for variable in network.trainable_variables:
                variable.constraint = None  # Clamping alone may move weights further than the step.
        rates = {name: keras.optimizers.SGD(1e-4) for name in players.optimizers}
        model = AdversarialModel(replace(players, optimizers=rates))
        model.compile()
        update = players.schedule[position]
        batch = model._split(batch_for(method, players))[update.minibatch]
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
    return sum(float(value) for value in update.loss(players.networks, batch).terms.values())


@every_method
def test_two_replicas_equal_one(method: Method, mirrored: tf.distribute.Strategy) -> None:
    """With SGD, since Adam would hide gradients of another scale (three steps)."""
    one = _trained_weights(method, tf.distribute.get_strategy(), replicas=1)
    two = _trained_weights(method, mirrored, replicas=2)
    for name, values in one.items():
        for single, mirrored in zip(values, two[name], strict=True):
            np.testing.assert_allclose(single, mirrored, rtol=0, atol=2e-6)


@every_method
@pytest.mark.slow
def test_two_replicas_train_with_noise(method: Method, mirrored: tf.distribute.Strategy) -> None:
    with mirrored.scope():
        players = method.build(tiny(method), CHANNELS, OUTPUTS)
        model = AdversarialModel(players)
        model.compile()
    if not any(random_layers(network) for network in players.networks.values()):
        pytest.skip("draws nothing: the test without noise is the same")
    history = model.fit(_repeated(method, players, replicas=2), verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())


def _repeated(method: Method, players: Players, replicas: int) -> tf.data.Dataset:
    """Three equal batches."""
    batch = batch_for(method, players, replicas)
    count = batch["label"].shape[0]
    return tf.data.Dataset.from_tensor_slices(batch).repeat(3).batch(count, drop_remainder=True)


def _trained_weights(
    method: Method, strategy: tf.distribute.Strategy, replicas: int
) -> dict[str, list[np.ndarray]]:
    keras.utils.set_random_seed(1)
    with strategy.scope():
        players = without_noise(method.build(tiny(method), CHANNELS, OUTPUTS))
        rates = {name: keras.optimizers.SGD(1e-2) for name in players.optimizers}
        model = AdversarialModel(replace(players, optimizers=rates))
        model.compile()
    start = {name: weights(network) for name, network in players.networks.items()}
    model.fit(_repeated(method, players, replicas), verbose=0)
    end = {name: weights(network) for name, network in players.networks.items()}
    assert not any(same(start[name], end[name]) for name in start)
    return end


@every_method
def test_bfloat16_step_is_finite(method: Method) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    players = method.build(tiny(method), CHANNELS, OUTPUTS)
    model = AdversarialModel(players)
    model.compile()
    logs = model.train_step(batch_for(method, players))
    assert all(np.isfinite(float(value)) for value in logs.values()), logs
    assert all(np.isfinite(w).all() for n in players.networks.values() for w in weights(n))
    image = batch_for(method, players)["image"]
    assert model(image).dtype == tf.float32


@every_method
@pytest.mark.slow
def test_resumed_equals_undisturbed_and_export_equals_predict(
    method: Method, records_of: Callable[[str], RecordSet], tmp_path: Path
) -> None:
    """Equal seeds give equal runs, killed or not; what is served is what was evaluated."""
    hp = tiny(method)
    records = records_of(method.view.kind)
    killed = WorkDir(tmp_path / "killed")
    whole = CopiedAfterFirstEpoch(tmp_path / "whole", killed.folder)
    split = choose_split(records.manifest)
    tf.config.experimental.enable_op_determinism()
    settings = settings_of(method, hp, records, split, "float32", seed=3)
    train(whole, settings)
    assert killed.progress().epochs == 1
    train(killed, settings)
    assert same(*(_last_weights(run, method, hp, records) for run in (whole, killed)))
    assert [row["epoch"] for row in killed.progress().history] == [1, 2]
    assert whole.progress() == killed.progress()

    settings, _, _, predictor = load_run(whole)
    export(
        predictor, settings.method, settings.hyperparameters, records.manifest, tmp_path / "model"
    )
    serve = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    for volume in subject_volumes(records, split.test):
        image = tf.constant(volume.image.astype(np.float32))
        expected, served = predictor.predict(image), serve(volume=image)
        for name in ("label", "probabilities"):
            np.testing.assert_array_equal(expected[name], served[name])


class CopiedAfterFirstEpoch(WorkDir):
    """What a kill within the second epoch would leave is kept elsewhere."""

    def __init__(self, folder: Path, copy: Path) -> None:
        super().__init__(folder)
        self.copy = copy

    def save(self, model: AdversarialModel, progress: Progress) -> None:
        super().save(model, progress)
        if progress.epochs == 1:
            shutil.copytree(self.folder, self.copy)


def _last_weights(
    work_dir: WorkDir, method: Method, hp: Any, records: RecordSet
) -> list[np.ndarray]:
    """Networks and optimizers."""
    model = build_model(method, hp, records.manifest)
    work_dir.restore(model)
    optimizers = [v.numpy() for o in model.players.optimizers.values() for v in o.variables]
    return [w for n in model.players.networks.values() for w in weights(n)] + optimizers
