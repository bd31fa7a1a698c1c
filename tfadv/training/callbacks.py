"""What happens around the steps: rates, validation, checkpoints, TensorBoard."""

import math
import sys
import time
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf
from absl import logging

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
from tfadv.run.work_dir import Progress, WorkDir
from tfrecords.reading.record_set import RecordSet

Logs = dict[str, float]


class LearningRates(keras.callbacks.Callback):
    """Sets every optimizer's rate at the start of an epoch, and logs it."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for name, optimizer in self.model.players.optimizers.items():
            optimizer.learning_rate = self.method.rate(name, epoch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        for name in self.model.players.optimizers:
            logs[f"{name}_learning_rate"] = self.method.rate(name, epoch)


class RandomStates(keras.callbacks.Callback):
    """Sets what noise and dropout layers draw from, at the start of an epoch, by seed and epoch.

    Keras does not save these states with the weights; a run that resumes at an epoch finds them.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        set_random_states(self.model.network_list, self.seed, epoch)


def set_random_states(networks: Iterable[keras.Model], seed: int, epoch: int) -> None:
    for place, network in enumerate(networks):
        saved = {id(variable) for variable in network.weights}
        states = [variable for variable in network.variables if id(variable) not in saved]
        for number, state in enumerate(states):
            sequence = np.random.SeedSequence([seed, epoch, place, number])
            state.assign(sequence.generate_state(2) >> 1)  # Halved, to fit signed integers.


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
            logging.info(
                "%.3f s a step: about %.1f minutes for %d steps, and validation",
                step_s,
                minutes,
                self.steps,
            )


class ProgressLine(keras.callbacks.Callback):
    """Ends the line of Keras' progress bar where an error ends an epoch: words follow it.

    To be the last of our callbacks, after which Keras calls the bar.
    """

    def __init__(self) -> None:
        super().__init__()
        self.open = False

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.open = True

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.open = False

    def end(self) -> None:
        if self.open and keras.config.is_interactive_logging_enabled():
            sys.stdout.write("\n")
            sys.stdout.flush()


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
    """Saves every epoch; keeps the last and the best by a criterion."""

    def __init__(self, work_dir: WorkDir, progress: Progress, criterion: Criterion) -> None:
        super().__init__()
        self.criterion = criterion
        self.work_dir = work_dir
        self.progress = progress

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        progress = self.progress
        progress.history.append(row)
        progress.epochs = epoch + 1
        value = row[self.criterion.key]
        # Where the measure exists in no epoch yet, the last one is the best.
        if math.isnan(progress.best) or self.criterion.improves(value, progress.best):
            progress.best, progress.best_epoch = value, epoch + 1
        self.work_dir.save(self.model, progress)


class TensorBoard(keras.callbacks.Callback):
    """Every logged value, and a picture of one validation subject, once an epoch.

    Losses of both players share the run `train`, what validation measured is in `validation`. So
    are readings of gradients, whose steps are not epochs but training's.
    """

    def __init__(self, work_dir: WorkDir, validation: Validation, progress: Progress) -> None:
        super().__init__()
        self.validation = validation
        self.progress = progress
        self.read = len(progress.readings)
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
            for reading in self.progress.readings[self.read :]:
                for name, value in reading.items():
                    if name != "step":
                        tf.summary.scalar(name, value, step=reading["step"])
        self.read = len(self.progress.readings)
        for writer in self.writers.values():
            writer.flush()
