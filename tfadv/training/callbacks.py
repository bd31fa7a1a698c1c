"""What happens around the steps: rates, validation, checkpoints, what is told meanwhile."""

import math
import sys
import time
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfadv.evaluation.criterion import MEAN_DICE, Criterion
from tfadv.evaluation.measures import need_stated
from tfadv.evaluation.scoring import (
    Segmented,
    best_median_worst,
    mean_dice,
    score,
    segment,
    shown_slice,
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
        networks = self.model.network_list
        self.model.distribute_strategy.run(lambda: set_random_states(networks, self.seed, epoch))


def set_random_states(networks: Iterable[keras.Model], seed: int, epoch: int) -> None:
    """Of the replica in whose context it is called: each draws numbers of its own."""
    context = tf.distribute.get_replica_context()
    replica = int(tf.get_static_value(context.replica_id_in_sync_group))
    for place, network in enumerate(networks):
        saved = {id(variable) for variable in network.weights}
        states = [variable for variable in network.variables if id(variable) not in saved]
        for number, state in enumerate(states):
            of_whom = [seed, epoch, place, number, *([replica] if replica else [])]
            sequence = np.random.SeedSequence(of_whom)
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

    Attributes:
        shown: after an epoch, the slice of the best, the median and the worst subject by mean Dice,
            and what to say of it.
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
        self.shown: dict[str, tuple[Segmented, str]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        manifest = self.records.manifest
        origins = {subject.name: subject for subject in manifest.subjects}
        scores, slices = {}, {}
        with_maps = need_stated(self.measures)
        for segmented in segment(self.predictor, self.records, self.folds, with_maps=with_maps):
            name = segmented.volume.subject
            scores[name] = score(segmented, origins[name], manifest, self.measures)
            slices[name] = shown_slice(segmented)
        logs |= validation_logs(list(scores.values()), self.measures, manifest)
        dice = {name: mean_dice(of, manifest) for name, of in scores.items()}
        self.shown = {
            word: (slices[name], f"{name}, mean Dice {dice[name]:.2f} (the {word} of {len(dice)})")
            for word, name in best_median_worst(dice).items()
        }


class Checkpoints(keras.callbacks.Callback):
    """Saves every epoch, and how long it took; keeps the last and the best by a criterion.

    After what an epoch's time is to hold.
    """

    def __init__(self, work_dir: WorkDir, progress: Progress, criterion: Criterion) -> None:
        super().__init__()
        self.criterion = criterion
        self.work_dir = work_dir
        self.progress = progress
        self.start_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.start_s = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        progress = self.progress
        progress.seconds[epoch + 1] = time.perf_counter() - self.start_s
        progress.history.append(row)
        progress.epochs = epoch + 1
        value = row[self.criterion.key]
        # Where the measure exists in no epoch yet, the last one is the best.
        if math.isnan(progress.best) or self.criterion.improves(value, progress.best):
            progress.best, progress.best_epoch = value, epoch + 1
        self.work_dir.save(self.model, progress)


class EpochLine(keras.callbacks.Callback):
    """Tells each epoch in a line, where nobody watches a progress bar: in a log.

    After Checkpoints, which notes the best epoch and the seconds of each.
    """

    def __init__(self, progress: Progress, criterion: Criterion, epochs: int) -> None:
        super().__init__()
        self.progress = progress
        self.criterion = criterion
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs, progress = logs or {}, self.progress
        schedule = self.model.players.schedule
        terms = dict.fromkeys(term.name for update in schedule for term in update.terms)
        logging.info(
            "epoch %d of %d, %.0f s: %s %.3f (best %.3f in epoch %d); %s",
            epoch + 1,
            self.epochs,
            progress.seconds[epoch + 1],
            self.criterion.title,
            logs[self.criterion.key],
            progress.best,
            progress.best_epoch,
            ", ".join(f"{name} {logs[name]:.4g}" for name in terms),
        )
