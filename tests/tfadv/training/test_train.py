"""What determines a run, and runs that end early."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfadv import methods
from tfadv.run.settings import settings_of
from tfadv.run.split import choose_split, training_subjects
from tfadv.run.work_dir import Progress, WorkDir
from tfadv.training import train as training
from tfadv.training.callbacks import (
    Checkpoints,
    StopAtDeadCritic,
    StopAtDivergence,
    StopAtSignal,
)
from tfadv.training.train import train
from tfrecords.errors import UserError
from tfrecords.reading.batches import training_batches
from tfrecords.reading.record_set import RecordSet


def tiny_run(
    name: str, tmp_path: Path, records: RecordSet, seed: int = 0, **values: Any
) -> WorkDir:
    method = methods.get("kohl_cross_entropy")
    hp = replace(
        method.resolve("small"), **({"batch_size": 2, "epochs": 2, "steps_per_epoch": 2} | values)
    )
    work_dir = WorkDir(tmp_path / name)
    split = choose_split(records.manifest)
    train(work_dir, settings_of(method, hp, records, split, "float32", seed))
    return work_dir


def test_a_seed_gives_its_own_run(records: RecordSet, tmp_path: Path) -> None:
    """That equal seeds give equal runs, the conformance suite tests for every method."""
    runs = [tiny_run(f"run{seed}", tmp_path, records, seed, epochs=1) for seed in (3, 4)]
    assert runs[0].progress().history != runs[1].progress().history


def test_fraction_and_criterion_are_part_of_the_run(records: RecordSet) -> None:
    method = methods.get("kohl_cross_entropy")
    chosen: Any = (method, method.resolve("small"), records, choose_split(records.manifest))
    settings = settings_of(*chosen, "float32", 0, positive_fraction=0.5, selected_by="label_2")
    assert (settings.positive_fraction, settings.selected_by) == (0.5, "label_2")
    with pytest.raises(UserError, match="one of mean, label_1, label_2, received tumour"):
        settings_of(*chosen, "float32", 0, selected_by="tumour")
    for fraction in (0.0, 1.5):
        with pytest.raises(UserError, match="--positive_fraction: expected a share in"):
            settings_of(*chosen, "float32", 0, positive_fraction=fraction)


@pytest.mark.parametrize(("selected_by", "best", "dice"), [("mean", 3, 0.5), ("tumour", 1, 0.3)])
def test_the_chosen_criterion_selects_the_epoch(selected_by: str, best: int, dice: float) -> None:
    saved: Any = SimpleNamespace(save=lambda model, progress: None)
    progress = Progress()
    callback = Checkpoints(saved, progress, selected_by)
    callback.set_model(keras.Sequential())
    for epoch, (mean, tumour) in enumerate([(0.4, 0.3), (0.35, 0.2), (0.5, 0.1)]):
        callback.on_epoch_end(epoch, {"val_dice": mean, "val_dice_tumour": tumour})
    assert (progress.best_epoch, progress.best_dice) == (best, dice)


def test_a_run_trains_on_the_chosen_fraction(
    records: RecordSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []

    def noted(*arguments: Any, **others: Any) -> tf.data.Dataset:
        drawn.append(arguments[-1])
        return training_batches(*arguments, **others)

    monkeypatch.setattr(training, "training_batches", noted)
    method = methods.get("kohl_cross_entropy")
    hp = replace(method.resolve("small"), batch_size=2, epochs=1, steps_per_epoch=1)
    split = choose_split(records.manifest, ("2",), ("2",))
    settings = settings_of(method, hp, records, split, "float32", 0, positive_fraction=0.4)
    train(WorkDir(tmp_path / "run"), settings)
    assert drawn == [training_subjects(records.manifest, split.training, 0.4, 0)]
    assert len(drawn[0]) == 3  # Of two subjects in each group, one positive is left out.


def test_divergence_stops_with_step_term_and_advice(records: RecordSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"epoch 1, step \d+: .*segmentor_cross_entropy.*--hp"):
        tiny_run("run", tmp_path, records, learning_rate=float("inf"), steps_per_epoch=4)
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_divergence_names_the_first_bad_step() -> None:
    callback = StopAtDivergence()
    callback.on_epoch_begin(6)
    callback.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(UserError, match="epoch 7, step 2: loss is NaN"):
        callback.on_train_batch_end(1, {"loss": float("nan"), "fine": 1.0})


def test_a_loss_beyond_all_bounds_is_divergence() -> None:
    callback = StopAtDivergence()
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0, {"loss": 1e8})
    with pytest.raises(UserError, match=r"epoch 1, step 2: loss diverges, beyond 1e\+09. .*--hp"):
        callback.on_train_batch_end(1, {"loss": -1e10, "fine": 1.0})


def test_a_critic_whose_loss_stays_at_zero_is_dead() -> None:
    """Of the terms that a player alone ascends; others may be zero."""
    ascent: Any = SimpleNamespace(trains={"c": "c"}, ascends={"c"}, terms=("critic",))
    other: Any = SimpleNamespace(trains={"s": "s", "d": "d"}, ascends={"s"}, terms=("both",))
    callback = StopAtDeadCritic(SimpleNamespace(schedule=[ascent, other]))
    callback.on_epoch_begin(2)
    for step in range(19):
        callback.on_train_batch_end(step, {"critic": 0.0, "both": 0.0})
    callback.on_train_batch_end(30, {"critic": 1e-6, "both": 0.0})
    with pytest.raises(
        UserError, match="epoch 3: critic has been zero for 20 steps: the critic is"
    ):
        callback.on_train_batch_end(19, {"critic": 0.0, "both": 0.0})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_leave_between_steps_and_the_run_goes_on(
    number: signal.Signals, records: RecordSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal arrives in the second epoch's first step; the first epoch is kept."""
    original = StopAtSignal.on_train_batch_end
    seen = []

    def send_in_third_step(self: StopAtSignal, batch: int, logs: Any = None) -> None:
        seen.append(batch)
        if len(seen) == 3:
            os.kill(os.getpid(), number)
        original(self, batch, logs)

    before = signal.getsignal(number)
    monkeypatch.setattr(StopAtSignal, "on_train_batch_end", send_in_third_step)
    with pytest.raises(UserError, match=f"stopped by {number.name}; 1 of 2 epochs are saved"):
        tiny_run("run", tmp_path, records)
    assert signal.getsignal(number) == before
    assert tiny_run("run", tmp_path, records).progress().epochs == 2


def test_a_run_writes_history_and_tensorboard(run: WorkDir) -> None:
    history = pd.read_csv(run.folder / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert history["segmentor_learning_rate"].tolist() == [1e-3, 1e-3]
    assert history["segmentor_cross_entropy"].is_monotonic_decreasing
    expected = {"segmentor_cross_entropy", "segmentor_gradient_norm", "segmentor_learning_rate"}
    accumulators = {}
    for name in ("train", "validation"):
        accumulators[name] = EventAccumulator(str(run.tensorboard / name)).Reload()
    assert expected <= set(accumulators["train"].Tags()["tensors"])
    tags = set(accumulators["validation"].Tags()["tensors"])
    assert {"dice", "dice_label_1", "dice_label_2", "example"} <= tags
    tensor = accumulators["validation"].Tensors("example")[-1].tensor_proto
    width, height, png = tf.make_ndarray(tensor)
    assert png.startswith(b"\x89PNG")
    assert int(width) > int(height) > 100


def test_learning_rate_halves() -> None:
    method = methods.get("kohl_hybrid")
    hp = method.resolve()
    rates = [method.learning_rates(hp, epoch)["segmentor"] for epoch in (0, 74, 75, 149, 150)]
    np.testing.assert_allclose(rates, [1e-5, 1e-5, 5e-6, 5e-6, 2.5e-6])
    fixed = {method.learning_rates(hp, epoch)["discriminator"] for epoch in (0, 224)}
    assert fixed == {1e-5}


def test_warm_up_lets_the_discriminator_learn_alone() -> None:
    method = methods.get("kohl_purely_adversarial")
    hp = method.resolve("small", ["discriminator_warmup=2"])
    rates = [method.learning_rates(hp, epoch) for epoch in (1, 2)]
    assert [rate["segmentor"] for rate in rates] == [0.0, hp.learning_rate]
    assert keras.config.dtype_policy().name == "float32"
