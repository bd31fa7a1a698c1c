"""What TensorBoard shows of a run: curves over steps, pictures, verdicts, and what the run is."""

import shlex
import sys
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams

from tfadv.evaluation.scoring import picture_of
from tfadv.methods.card import card
from tfadv.players import Players
from tfadv.run.environment import environment
from tfadv.run.run import Run
from tfadv.run.work_dir import Progress, WorkDir
from tfadv.training.callbacks import Logs, Validation
from tfadv.training.microscope import Microscope
from tfadv.training.tags import VALIDATED, Tags
from tfadv.training.tracker import Tracking, described

EVERY = 20  # Steps between two points within an epoch.
RUN, TRAIN, VALIDATION = ".", "train", "validation"  # Folders, which TensorBoard calls runs.


class Window:
    """Means over the last steps, of what Keras logs: means since the epoch began."""

    def __init__(self) -> None:
        self.seen = 0
        self.sums: dict[str, float] = {}

    def means(self, step: int, running: Mapping[str, float]) -> dict[str, float]:
        """Since the last call.

        Args:
            step: of the epoch, from 1; later than at the last call.
        """
        sums = {name: value * step for name, value in running.items()}
        found = {
            name: (total - self.sums.get(name, 0.0)) / (step - self.seen)
            for name, total in sums.items()
        }
        self.seen, self.sums = step, sums
        return found


class TensorBoard(keras.callbacks.Callback):
    """Writes a run's numbers by their tags, over training's steps, and tells them a tracker.

    What players compute comes every EVERY steps, as means over these, and lies in the folder
    `train`; what validation measures and the microscope reads in `validation`; what the run is
    beside them. Keras has the numbers of a step at hand anyway: no device waits for this.
    """

    def __init__(
        self,
        work_dir: WorkDir,
        run: Run,
        validation: Validation,
        progress: Progress,
        microscope: Microscope | None = None,
        tracking: Tracking | None = None,
    ) -> None:
        super().__init__()
        self.work_dir = work_dir
        self.run = run
        self.validation = validation
        self.progress = progress
        self.microscope = microscope
        self.tracking = tracking or Tracking(None, run.settings, work_dir)
        self.read = len(progress.readings)
        self.window = Window()
        self.first, self.steps = 0, 0
        self.writers = {
            name: tf.summary.create_file_writer(str(work_dir.tensorboard / name))
            for name in (RUN, TRAIN, VALIDATION)
        }

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self.tags = Tags(model.players)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        with self.writers[RUN].as_default(step=0):
            write_layout(self.tags)
            write_description(self.run, self.model.players, self.work_dir)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.first, self.steps, self.window = epoch * self.run.method.steps_per_epoch, 0, Window()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.steps = batch + 1
        if self.steps % EVERY == 0:
            self._write_means(logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        computed = self.model.trackers.keys()
        logs = logs or {}
        if self.steps > self.window.seen:
            self._write_means({name: logs[name] for name in computed})
        others = {name: value for name, value in logs.items() if name not in computed}
        for folder in (TRAIN, VALIDATION):
            validated = folder == VALIDATION
            own = {n: v for n, v in others.items() if n.startswith(VALIDATED) == validated}
            self._write(folder, self._step, self.tags.of(own))
        self._write_readings()
        with self.writers[VALIDATION].as_default(step=self._step):
            self._write_pictures()
        for writer in self.writers.values():
            writer.flush()

    @property
    def _step(self) -> int:
        """Of the whole training, from 1."""
        return self.first + self.steps

    def _write_means(self, running: Mapping[str, float]) -> None:
        means = self.window.means(self.steps, running)
        self._write(TRAIN, self._step, self.tags.of(means))

    def _write(self, folder: str, step: int, values: Mapping[str, float]) -> None:
        if not values:
            return
        with self.writers[folder].as_default(step=step):
            for tag, value in values.items():
                tf.summary.scalar(tag, value)
        self.tracking.log(step, values)

    def _write_readings(self) -> None:
        """What the microscope read since the last epoch."""
        for reading in self.progress.readings[self.read :]:
            values = {name: value for name, value in reading.items() if name != "step"}
            self._write(VALIDATION, int(reading["step"]), values)
        self.read = len(self.progress.readings)
        if self.microscope:
            with self.writers[VALIDATION].as_default():
                for step, tag, odds in self.microscope.take_verdicts():
                    tf.summary.histogram(tag, 1 / (1 + np.exp(-odds)), step=step)

    def _write_pictures(self) -> None:
        for word, (segmented, title) in self.validation.shown.items():
            picture = picture_of(segmented, self.validation.records, title)
            tf.summary.image(f"subjects/{word}", tf.io.decode_png(picture, channels=3)[None])


def write_layout(tags: Tags) -> None:
    """The charts with several curves each, under TensorBoard's "Custom scalars"."""
    categories = [
        layout_pb2.Category(
            title=title,
            chart=[
                layout_pb2.Chart(
                    title=chart.title, multiline=layout_pb2.MultilineChartContent(tag=chart.tags)
                )
                for chart in charts
            ],
        )
        for title, charts in tags.charts().items()
    ]
    written = custom_scalar.pb(layout_pb2.Layout(category=categories))
    tf.summary.experimental.write_raw_pb(written.SerializeToString())


def write_description(run: Run, players: Players, work_dir: WorkDir) -> None:
    """The run's row among others, and its texts: command, method and versions."""
    values = {
        name: value if isinstance(value, bool | int | float | str) else ", ".join(value)
        for name, value in described(run.settings, work_dir).items()
    }
    hparams.hparams(values, trial_id=str(work_dir.folder))
    lines = (f"{name}: {text}" for name, text in environment().items())
    texts = {
        "command": shlex.join(sys.argv),
        "method": card(run.method, players),
        "versions": "\n".join(lines),
    }
    for tag, text in texts.items():
        # Four blanks before a line: as it is.
        tf.summary.text(tag, "\n".join(f"    {line}" for line in text.splitlines()))
