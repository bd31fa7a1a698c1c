"""What TensorBoard reads of a run, by its own reader."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tfadv.run.work_dir import Progress, WorkDir
from tfadv.training import tensorboard
from tfadv.training.tensorboard import TensorBoard, Window


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def scalars(events: EventAccumulator, tag: str) -> dict[int, float]:
    return {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)}


def test_means_over_windows_are_those_of_their_steps() -> None:
    values = np.random.default_rng(0).normal(size=10)
    running = np.cumsum(values) / np.arange(1, 11)
    window = Window()
    found = [window.means(step, {"loss": running[step - 1]})["loss"] for step in (3, 7, 10)]
    np.testing.assert_allclose(found, [values[:3].mean(), values[3:7].mean(), values[7:].mean()])


class Heard:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []

    def log(self, step: int, values: dict[str, float]) -> None:
        self.told.append((step, values))


@pytest.fixture
def callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TensorBoard:
    """Of a method that computes a loss, in epochs of 5 steps, with a point every 2."""
    monkeypatch.setattr(tensorboard, "EVERY", 2)
    run: Any = SimpleNamespace(settings=None, method=SimpleNamespace(steps_per_epoch=5))
    validation: Any = SimpleNamespace(shown={})
    heard: Any = Heard()
    found = TensorBoard(WorkDir(tmp_path), run, validation, Progress(), tracking=heard)
    model: Any = SimpleNamespace(players=SimpleNamespace(schedule=[]), trackers={"loss": None})
    found.set_model(model)
    return found


def test_points_come_within_epochs_and_over_the_trainings_steps(
    callback: TensorBoard, tmp_path: Path
) -> None:
    """The loss of step n is n."""
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        for batch in range(5):
            mean = 5 * epoch + (batch + 2) / 2
            callback.on_train_batch_end(batch, {"loss": mean})
        callback.on_epoch_end(epoch, {"loss": mean, "val_dice": 0.5, "val_dice_WT": 0.25})
    expected = {2: 1.5, 4: 3.5, 5: 5.0, 7: 6.5, 9: 8.5, 10: 10.0}
    assert scalars(read(tmp_path / "tensorboard" / "train"), "loss") == pytest.approx(expected)
    validation = read(tmp_path / "tensorboard" / "validation")
    assert scalars(validation, "dice/WT") == {5: 0.25, 10: 0.25}
    told: Any = callback.tracking
    assert [step for step, _ in told.told] == [2, 4, 5, 5, 7, 9, 10, 10]
    assert told.told[3] == (5, {"dice/mean": 0.5, "dice/WT": 0.25})


def test_verdicts_are_histograms_of_probabilities(callback: TensorBoard, tmp_path: Path) -> None:
    verdicts = [(3, "verdicts/critic/true", np.array([0.0, np.log(3), np.log(3)]))]
    microscope: Any = SimpleNamespace(take_verdicts=lambda: verdicts)
    callback.microscope = microscope
    callback.on_epoch_end(0, {})
    events = read(tmp_path / "tensorboard" / "validation").Tensors("verdicts/critic/true")
    buckets = tf.make_ndarray(events[0].tensor_proto)
    assert events[0].step == 3
    assert (buckets[0, 0], buckets[-1, 1]) == pytest.approx((0.5, 0.75))
    assert buckets[:, 2].sum() == 3


def test_a_run_has_its_settings_texts_and_charts(run: WorkDir) -> None:
    events = read(run.tensorboard)
    kept = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    session = HParamsPluginData.FromString(kept).session_start_info
    assert session.hparams["batch_size"].number_value == 6
    assert session.hparams["method"].string_value == "kohl_cross_entropy"
    (text,) = tf.make_ndarray(events.Tensors("method")[0].tensor_proto).ravel()
    assert text.decode().startswith("    kohl_cross_entropy: ")
    assert {"command", "versions"} <= set(events.Tags()["tensors"])
    (layout,) = tf.make_ndarray(events.Tensors("custom_scalars__config__")[0].tensor_proto).ravel()
    titles = [category.title for category in Layout.FromString(layout).category]
    assert titles == ["players", "validation", "what each term teaches"]
