"""What determines a run, and runs that end early."""

import os
import signal
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
from tfadv.adversarial import AdversarialModel, Batch, Networks, Players, Term, Update
from tfadv.evaluation.criterion import Criterion
from tfadv.run.run import Run
from tfadv.run.work_dir import Progress, WorkDir
from tfadv.training.callbacks import Checkpoints, LearningRates
from tfadv.training.stops import StopAtDeadPlayer, StopAtDivergence, StopAtSignal
from tfadv.training.train import train
from tfrecords.errors import SettingError, UserError
from tfrecords.reading.record_set import RecordSet


def tiny(records: RecordSet, *overrides: str, **values: Any) -> Run:
    small = ["precision=float32", "batch_size=2", "epochs=2", "steps_per_epoch=2"]
    method = methods.get("kohl_cross_entropy").configure("small", [*small, *overrides])
    return Run.new(method, records, **values)


def tiny_run(
    name: str, tmp_path: Path, records: RecordSet, *overrides: str, seed: int = 0
) -> WorkDir:
    work_dir = WorkDir(tmp_path / name)
    train(work_dir, tiny(records, *overrides, seed=seed))
    return work_dir


@pytest.mark.slow
def test_a_seed_gives_its_own_run(records: RecordSet, tmp_path: Path) -> None:
    """That equal seeds give equal runs, the conformance suite tests for every method."""
    runs = [tiny_run(f"run{seed}", tmp_path, records, "epochs=1", seed=seed) for seed in (3, 4)]
    assert runs[0].progress().history != runs[1].progress().history


def test_a_wrong_criterion_is_refused_before_anything_is_written(
    records: RecordSet, tmp_path: Path
) -> None:
    run = tiny(records, selected_by="tumour")
    with pytest.raises(SettingError, match="select_by: expected one of mean, label_1, label_2"):
        train(WorkDir(tmp_path / "run"), run)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("criterion", "best", "value"),
    [
        (Criterion("dice", "mean"), 3, 0.5),
        (Criterion("dice", "tumour"), 1, 0.3),
        (Criterion("hausdorff95_mm", "tumour"), 2, 1.0),
    ],
)
def test_the_chosen_criterion_selects_the_epoch(
    criterion: Criterion, best: int, value: float
) -> None:
    saved: Any = SimpleNamespace(save=lambda model, progress: None)
    progress = Progress()
    callback = Checkpoints(saved, progress, criterion)
    callback.set_model(keras.Sequential())
    for epoch, (mean, tumour, mm) in enumerate([(0.4, 0.3, 3), (0.35, 0.2, 1), (0.5, 0.1, 2)]):
        logs = {
            "val_dice": mean,
            "val_dice_tumour": tumour,
            "val_hausdorff95_mm_tumour": float(mm),
        }
        callback.on_epoch_end(epoch, logs)
    assert (progress.best_epoch, progress.best) == (best, value)


def test_a_second_training_in_one_folder_is_refused(records: RecordSet, tmp_path: Path) -> None:
    with (
        WorkDir(tmp_path / "run").locked(),
        pytest.raises(UserError, match="another process trains or evaluates this run"),
    ):
        tiny_run("run", tmp_path, records)


def test_divergence_stops_with_step_term_and_advice(records: RecordSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"epoch 1, step \d+: .*segmentor_cross_entropy.*--hp"):
        tiny_run("run", tmp_path, records, "learning_rate=1e30", "steps_per_epoch=4")
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


def update(term: str, dies: str) -> Update:
    def forward(networks: Networks, batch: Batch) -> None:
        return None

    return Update("u", {"c": "c"}, (Term(term, lambda scene: scene.shared),), forward, dies=dies)


def test_a_loss_that_stays_at_zero_ends_the_run_where_its_update_says_so() -> None:
    """A Wasserstein critic's loss is negative: that is no zero."""
    schedule = (update("critic", "it is dead. Raise clamp"), update("other", ""))
    callback = StopAtDeadPlayer(Players({}, {}, schedule))
    callback.on_epoch_begin(2)
    for step in range(19):
        callback.on_train_batch_end(step, {"critic": 0.0, "other": 0.0})
    callback.on_train_batch_end(30, {"critic": 1e-6, "other": 0.0})
    callback.on_train_batch_end(30, {"critic": -2.0, "other": 0.0})
    with pytest.raises(UserError, match="epoch 3: critic has been zero for 20 steps: it is dead"):
        callback.on_train_batch_end(19, {"critic": 0.0, "other": 0.0})


@pytest.mark.slow
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
    method = methods.get("kohl_hybrid").configure()
    rates = [method.rate("segmentor", epoch) for epoch in (0, 74, 75, 149, 150)]
    np.testing.assert_allclose(rates, [1e-5, 1e-5, 5e-6, 5e-6, 2.5e-6])
    assert {method.rate("discriminator", epoch) for epoch in (0, 224)} == {1e-5}


def test_warm_up_lets_the_discriminator_learn_alone() -> None:
    warm = methods.get("kohl_purely_adversarial").configure("small", ["discriminator_warmup=2"])
    assert [warm.rate("segmentor", epoch) for epoch in (1, 2)] == [0.0, warm.learning_rate]


def test_every_optimizer_has_its_rate_in_the_logs() -> None:
    """Of critics, too, whose names are the regions'."""
    method = methods.get("segan_s3_3c").configure("small", ["width=2", "critic_width=2"])
    model = AdversarialModel(method.build(1, ("WT", "TC")))
    callback = LearningRates(method)
    callback.set_model(model)
    logs: dict[str, float] = {}
    callback.on_epoch_end(0, logs)
    assert logs == {
        "segmentor_learning_rate": 1e-4,
        "critic_WT_learning_rate": 1e-4,
        "critic_TC_learning_rate": 1e-4,
    }
