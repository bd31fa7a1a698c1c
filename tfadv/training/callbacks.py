"""What happens around the steps: rates, validation, checkpoints, TensorBoard, and early ends."""

import math
import signal
import time
from types import FrameType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadv.adversarial import Players
from tfadv.evaluation.criterion import MEAN_DICE, Criterion
from tfadv.evaluation.scoring import (
    Segmented,
    picture_of,
    score,
    segment,
    validated,
    validation_logs,
)
from tfadv.inference.predictor import Predictor
from tfadv.methods.method import Method
from tfadv.run.settings import MEAN
from tfadv.run.work_dir import Progress, WorkDir
from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet

Logs = dict[str, float]
ADVICE = (
    "The last good checkpoint stays. Lower the players' rates (--hp.learning_rate and others, "
    "which launch/methods.py METHOD lists), or use --precision float32, in a new --work_dir"
)


class LearningRates(keras.callbacks.Callback):
    """Sets every optimizer's rate at the start of an epoch, and logs it."""

    def __init__(self, method: Method, hp: Any) -> None:
        super().__init__()
        self.rates = lambda epoch: method.learning_rates(hp, epoch)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for name, rate in self.rates(epoch).items():
            self.model.players.optimizers[name].learning_rate = rate

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        logs |= {f"{name}_learning_rate": rate for name, rate in self.rates(epoch).items()}


class RandomStates(keras.callbacks.Callback):
    """Sets what noise and dropout layers draw from, at the start of an epoch, by seed and epoch.

    Keras does not save these states with the weights; a run that resumes at an epoch finds them.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for place, network in enumerate(self.model.network_list):
            saved = {id(variable) for variable in network.weights}
            states = [variable for variable in network.variables if id(variable) not in saved]
            for number, state in enumerate(states):
                sequence = np.random.SeedSequence([self.seed, epoch, place, number])
                state.assign(sequence.generate_state(2) >> 1)  # Halved, to fit signed integers.


class StopAtDivergence(keras.callbacks.Callback):
    """Ends the run at the first loss or gradient that is NaN, infinite or beyond all bounds."""

    LIMIT = 1e9  # Losses are means over voxels: none that learns comes near.

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        bad = [name for name, value in logs.items() if not math.isfinite(value)]
        if bad:
            raise UserError(
                f"epoch {self.epoch}, step {batch + 1}: {', '.join(bad)} is NaN or infinite. "
                f"{ADVICE}"
            )
        large = [name for name, value in logs.items() if abs(value) > self.LIMIT]
        if large:
            raise UserError(
                f"epoch {self.epoch}, step {batch + 1}: {', '.join(large)} diverges, beyond "
                f"{self.LIMIT:g}. {ADVICE}"
            )


class StopAtDeadCritic(keras.callbacks.Callback):
    """Ends the run when what a critic alone ascends stays at zero: then it teaches nothing."""

    STEPS = 20
    ZERO = 1e-8

    def __init__(self, players: Players) -> None:
        super().__init__()
        ascents = (u for u in players.schedule if set(u.trains) == u.ascends)
        self.terms = [term for update in ascents for term in update.terms]
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        # Logs are means since the epoch began, of terms that are never negative.
        dead = [term for term in self.terms if (logs or {})[term] < self.ZERO]
        if dead and batch + 1 >= self.STEPS:
            raise UserError(
                f"epoch {self.epoch}: {', '.join(dead)} has been zero for {batch + 1} steps: the "
                "critic is dead and teaches the segmentor nothing. The last good checkpoint stays. "
                "Raise --hp.clamp or lower --hp.critic_learning_rate, in a new --work_dir, and "
                "look whether the record set's images and regions are empty"
            )


class StoppedError(Exception):
    """A signal asked the run to end."""


class StopAtSignal(keras.callbacks.Callback):
    """Ends the run between two steps after SIGTERM or Ctrl-C; a second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.received: int | None = None
        self.previous: dict[int, Any] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.previous[number] = signal.signal(number, self._note)

    def restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        signal.signal(number, self.previous[number])

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.received is not None:
            raise StoppedError(signal.Signals(self.received).name)


class Duration(keras.callbacks.Callback):
    """Says early how long the run will take, from its measured step time."""

    WARM_STEPS = 3  # The first steps compile and fill buffers.
    MEASURED_STEPS = 5

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.seen = 0
        self.start_s = 0.0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.seen += 1
        if self.seen == self.WARM_STEPS:
            self.start_s = time.perf_counter()
        if self.seen == self.WARM_STEPS + self.MEASURED_STEPS:
            step_s = (time.perf_counter() - self.start_s) / self.MEASURED_STEPS
            minutes = step_s * (self.steps - self.seen) / 60
            print(
                f"\n{step_s:.3f} s a step: about {minutes:.1f} minutes for {self.steps} steps, "
                "and validation"
            )


class Validation(keras.callbacks.Callback):
    """Segments the validation folds after every epoch and logs their measures.

    Args:
        criterion: what chooses the epoch; its measure is among the logs.
    """

    def __init__(
        self,
        predictor: Predictor,
        records: RecordSet,
        folds: tuple[str, ...],
        criterion: Criterion = MEAN_DICE,
    ) -> None:
        super().__init__()
        self.predictor = predictor
        self.records = records
        self.folds = folds
        self.measures = validated(criterion)
        self.example: Segmented | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        manifest = self.records.manifest
        origins = {subject.name: subject for subject in manifest.subjects}
        scores = []
        for number, segmented in enumerate(segment(self.predictor, self.records, self.folds)):
            origin = origins[segmented.volume.subject]
            scores.append(score(segmented, origin, manifest, self.measures))
            if number == 0:
                self.example = segmented
        logs |= validation_logs(scores, self.measures, manifest)


class Checkpoints(keras.callbacks.Callback):
    """Saves every epoch; keeps the last and the best by validation Dice.

    Args:
        selected_by: see `Settings`.
    """

    def __init__(self, work_dir: WorkDir, progress: Progress, selected_by: str = MEAN) -> None:
        super().__init__()
        self.criterion = "val_dice" if selected_by == MEAN else f"val_dice_{selected_by}"
        self.work_dir = work_dir
        self.progress = progress

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        progress = self.progress
        progress.history.append(row)
        progress.epochs = epoch + 1
        if row[self.criterion] > progress.best_dice:
            progress.best_dice, progress.best_epoch = row[self.criterion], epoch + 1
        self.work_dir.save(self.model, progress)


class TensorBoard(keras.callbacks.Callback):
    """Every logged value, and a picture of one validation subject, once an epoch.

    Losses of both players share the run `train`, what validation measured is in `validation`.
    """

    def __init__(self, work_dir: WorkDir, validation: Validation) -> None:
        super().__init__()
        self.validation = validation
        self.writers = {
            name: tf.summary.create_file_writer(str(work_dir.tensorboard / name))
            for name in ("train", "validation")
        }

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            run = "validation" if name.startswith("val_") else "train"
            with self.writers[run].as_default(step=epoch + 1):
                tf.summary.scalar(name.removeprefix("val_"), value)
        with self.writers["validation"].as_default(step=epoch + 1):
            assert self.validation.example is not None
            picture = picture_of(self.validation.example, self.validation.records)
            tf.summary.image("example", tf.io.decode_png(picture, channels=3)[None])
        for writer in self.writers.values():
            writer.flush()
