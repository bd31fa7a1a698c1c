"""What determines a run, and runs that end early."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfadv import methods
from tfadv.run.run import Run
from tfadv.run.work_dir import WorkDir
from tfadv.training import train as training
from tfadv.training.stops import StopAtSignal
from tfadv.training.train import (
    _strategy,
    make_deterministic,
    train,
)
from tfrecords.errors import SettingError, UserError
from tfrecords.reading.record_set import RecordSet, open_record_set


def tiny(records: RecordSet, *overrides: str, **values: Any) -> Run:
    small = ["precision=float32", "batch_size=2", "epochs=2", "steps_per_epoch=2"]
    small += ["width=4", "convolutions=1"]
    method = methods.get("kohl_cross_entropy").configure("small", [*small, *overrides])
    return Run.new(method, records, **values)


def tiny_run(
    name: str, tmp_path: Path, records: RecordSet, *overrides: str, seed: int = 0
) -> WorkDir:
    work_dir = WorkDir(tmp_path / name)
    train(work_dir, tiny(records, *overrides, seed=seed))
    return work_dir


@pytest.mark.slow
@pytest.mark.variants  # test_loss_scaling has it of players that are computed by hand.
def test_a_run_in_float16_and_in_parts_goes_on_bit_for_bit(
    records: RecordSet, tmp_path: Path
) -> None:
    values = ("precision=mixed_float16", "accumulation=2", "width=2")
    make_deterministic()
    whole = tiny_run("whole", tmp_path, records, *values)
    tiny_run("resumed", tmp_path, records, *values, "epochs=1")
    resumed = tiny_run("resumed", tmp_path, records, *values)
    assert whole.progress() == resumed.progress()
    assert whole.progress().history[-1]["segmentor_loss_scale"] >= 1
    models = []
    for work_dir in (whole, resumed):
        models.append(Run.open(work_dir.settings()).build_model())
        work_dir.restore(models[-1])
    for one, other in zip(*(model.saved_variables for model in models), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


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


@pytest.mark.slow
def test_what_the_record_set_lacks_is_told_at_the_start(
    records_of: Callable[[str], RecordSet], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = ["precision=float32", "batch_size=2", "learning_rate=1e30"]
    method = methods.get("moeskops_dilated").configure("small", values)
    with pytest.raises(UserError, match="segmentor_cross_entropy"):
        train(WorkDir(tmp_path / "run"), Run.new(method, records_of("patches")))
    assert "patches: expected 50,000 of each class and subject" in caplog.text


def test_a_second_training_in_one_folder_is_refused(records: RecordSet, tmp_path: Path) -> None:
    with (
        WorkDir(tmp_path / "run").locked(),
        pytest.raises(UserError, match="another process trains or evaluates this run"),
    ):
        tiny_run("run", tmp_path, records)


@pytest.mark.parametrize(("gpus", "mirrored"), [(0, False), (1, False), (2, True)])
def test_one_device_needs_no_copies_of_variables(
    gpus: int, mirrored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logical CPUs stand for GPUs."""
    devices = tf.config.list_logical_devices("CPU")[:gpus]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda _: devices)
    made: list[list[str]] = []
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", made.append)
    strategy = _strategy()
    assert made == ([[device.name for device in devices]] if mirrored else [])
    assert mirrored or strategy is tf.distribute.get_strategy()


@pytest.mark.slow
def test_divergence_stops_with_step_term_and_advice(records: RecordSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"epoch 1, step \d+: .*segmentor_cross_entropy.*--hp"):
        tiny_run("run", tmp_path, records, "learning_rate=1e30", "steps_per_epoch=4")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


@pytest.mark.slow
def test_what_ends_an_epoch_is_told_on_a_line_of_its_own(
    records: RecordSet,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not on the progress bar's, which is written before the second step's end is looked at."""
    monkeypatch.setattr(training, "watched", lambda: True)
    with pytest.raises(UserError, match="epoch 1, step 2: "):
        tiny_run("run", tmp_path, records, "learning_rate=1e30", "steps_per_epoch=4")
    assert re.search(r"1/4.*\n$", capsys.readouterr().out)


@pytest.mark.slow
def test_a_shard_that_goes_meanwhile_ends_the_run_in_one_line(
    records: RecordSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished epochs stay. There are many, for the next ones are read ahead."""
    copy = open_record_set(shutil.copytree(records.folder, tmp_path / "records"))
    run = tiny(copy, "epochs=30", "steps_per_epoch=8")
    gone = copy.folder / copy.manifest.select("slices", run.settings.training_folds)[0].file
    save = WorkDir.save

    def save_and_remove(self: WorkDir, *arguments: Any) -> None:
        save(self, *arguments)
        gone.unlink(missing_ok=True)

    monkeypatch.setattr(WorkDir, "save", save_and_remove)
    with pytest.raises(UserError) as error:
        train(WorkDir(tmp_path / "run"), run)
    assert str(error.value).startswith(f"{gone}: no such file. Run launch/preprocess.py again")
    assert WorkDir(tmp_path / "run").progress().epochs >= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.variants)]
)
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
    expected = {"segmentor/cross_entropy", "gradient_norm/segmentor", "learning_rate/segmentor"}
    accumulators = {}
    for name in ("train", "validation"):
        accumulators[name] = EventAccumulator(str(run.tensorboard / name)).Reload()
    assert expected <= set(accumulators["train"].Tags()["tensors"])
    tags = set(accumulators["validation"].Tags()["tensors"])
    assert {"dice/mean", "dice/label_1", "dice/label_2", "subjects/best", "subjects/worst"} <= tags
    assert [event.step for event in accumulators["validation"].Tensors("dice/mean")] == [20, 40]
    tensor = accumulators["validation"].Tensors("subjects/best")[-1].tensor_proto
    width, height, png = tf.make_ndarray(tensor)
    assert png.startswith(b"\x89PNG")
    assert min(int(width), int(height)) > 600


def test_learning_rate_halves() -> None:
    method = methods.get("kohl_hybrid").configure()
    rates = [method.rate("segmentor", epoch) for epoch in (0, 74, 75, 149, 150)]
    np.testing.assert_allclose(rates, [1e-5, 1e-5, 5e-6, 5e-6, 2.5e-6])
    assert {method.rate("discriminator", epoch) for epoch in (0, 224)} == {1e-5}


def test_warm_up_lets_the_discriminator_learn_alone() -> None:
    warm = methods.get("kohl_purely_adversarial").configure("small", ["discriminator_warmup=2"])
    assert [warm.rate("segmentor", epoch) for epoch in (1, 2)] == [0.0, warm.learning_rate]
