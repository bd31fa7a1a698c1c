"""One training run, from a record set to checkpoints.

record set -> training batches -> AdversarialModel.fit -> (each epoch) validation, checkpoint

Where several workers train it together, the chief alone validates and writes.
"""

import sys
from contextlib import nullcontext
from dataclasses import asdict

import keras
import tensorflow as tf
from absl import logging

from tfadv.adversarial import AdversarialModel
from tfadv.evaluation.criterion import Criterion
from tfadv.run.environment import code
from tfadv.run.initial import begin_with, inherit, read_first_weights
from tfadv.run.run import Run
from tfadv.run.work_dir import Progress, WorkDir
from tfadv.training.announcements import announce, tell_of_seen
from tfadv.training.callbacks import (
    Checkpoints,
    Duration,
    EpochLine,
    LearningRates,
    ProgressLine,
    RandomStates,
    Validation,
)
from tfadv.training.loss_scales import LossScales
from tfadv.training.microscope import microscopes
from tfadv.training.stops import (
    StopAtDeadPlayer,
    StopAtDivergence,
    StopAtSignal,
    StoppedError,
)
from tfadv.training.tensorboard import TensorBoard
from tfadv.training.tracker import Start, Tracking
from tfadv.training.workers import ALONE, StopTogether, Workers, train_function
from tfrecords.errors import UserError
from tfrecords.reading.record_set import damage_named


def make_deterministic() -> None:
    """Equal runs of this process give equal bits; slower on GPUs."""
    tf.config.experimental.enable_op_determinism()


def train(
    work_dir: WorkDir, run: Run, tracker: Start | None = None, workers: Workers = ALONE
) -> None:
    """Trains, or goes on where an earlier call with the same settings was stopped.

    Args:
        tracker: starts whoever is to be told of the run; see `tracker`.
        workers: who trains it together.

    Raises:
        UserError: the folder holds another run, another process writes there, or the losses are no
            longer finite, or another worker is lost.
    """

    def saved() -> str:
        return (
            f"{work_dir.progress().epochs} of {run.method.epochs} epochs are saved in "
            f"{work_dir.folder}"
        )

    with workers.losses_named(saved):
        _train(work_dir, run, tracker, workers)
        workers.agree()  # Nobody leaves before the chief has saved.


def _train(work_dir: WorkDir, run: Run, tracker: Start | None, workers: Workers) -> None:
    criterion = Criterion.parse(run.settings.selected_by, run.manifest)
    with work_dir.locked() if workers.chief else nullcontext():
        first = None
        if run.settings.init_from and not work_dir.progress().epochs:
            first = read_first_weights(run.settings)
        if workers.chief:
            work_dir.begin(run.settings)
            if first:
                inherit(work_dir, first)
        # Not 0: tf.data, given a tensor as seed, compares it with a global seed of 0, and fails.
        keras.utils.set_random_seed(1 + run.settings.seed)
        strategy = workers.strategy or _strategy()
        model = run.build_model(strategy)
        progress = work_dir.restore(model)
        workers.agree(
            settings=asdict(run.settings),
            code=code(),
            finished_epochs=[progress.epochs, progress.weights],
        )
        _require_same_replicas(progress, strategy.num_replicas_in_sync if workers.several else 0)
        if progress.epochs >= run.method.epochs:
            logging.info("%s: all %d epochs are finished.", work_dir.folder, run.method.epochs)
            return
        announce(run, model)
        if first:
            tell_of_seen(run, first)
            begin_with(first, model)
        logging.info("replicas: %d", strategy.num_replicas_in_sync)
        if progress.epochs:
            logging.info("resuming after epoch %d", progress.epochs)
        tracking = Tracking(tracker if workers.chief else None, run.settings, work_dir)
        try:
            with damage_named(run.records):
                _fit(work_dir, run, model, progress, criterion, tracking, workers)
        finally:
            tracking.finish()
        logging.info(
            "best epoch %d of %d: %s %.3f",
            progress.best_epoch,
            progress.epochs,
            criterion.title,
            progress.best,
        )


def _strategy() -> tf.distribute.Strategy:
    """A replica on every GPU. One device needs no copies: its steps are traced and run faster."""
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    return tf.distribute.MirroredStrategy(gpus) if len(gpus) > 1 else tf.distribute.get_strategy()


def watched() -> bool:
    """Whether somebody sees a progress bar move; in a log, each of its states would stay."""
    return sys.stdout.isatty() or "ipykernel" in sys.modules


def _fit(
    work_dir: WorkDir,
    run: Run,
    model: AdversarialModel,
    progress: Progress,
    criterion: Criterion,
    tracking: Tracking,
    workers: Workers,
) -> None:
    """Keras' `fit`, which SIGTERM and Ctrl-C end between two steps."""
    stop, bar = StopTogether() if workers.several else StopAtSignal(), ProgressLine()
    epochs = range(progress.epochs, run.method.epochs)
    last = bar if watched() else EpochLine(progress, criterion, epochs.stop)
    callbacks = _of_steps(run, model)
    if workers.chief:
        callbacks += _of_epochs(work_dir, run, model, progress, criterion, tracking)
        callbacks.append(last)
    if isinstance(stop, StopTogether):
        model.train_function = train_function(model, stop)
    try:
        model.fit(
            run.batches(model, epochs),
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            steps_per_epoch=run.method.steps_per_epoch,
            callbacks=[stop, *callbacks],
            verbose=int(last is bar and workers.chief),
            shuffle=False,
        )
    except StoppedError as stopped:
        raise UserError(
            f"stopped by {stopped}; {work_dir.progress().epochs} of {epochs.stop} epochs are saved "
            f"in {work_dir.folder}. The same command goes on with the epoch after them"
        ) from None
    finally:
        stop.restore()
        bar.end()


def _of_steps(run: Run, model: AdversarialModel) -> list[keras.callbacks.Callback]:
    """What every worker does."""
    return [
        StopAtDivergence(),
        StopAtDeadPlayer(model.players),
        RandomStates(run.settings.seed),
        LearningRates(run.method),
        LossScales(model.players),
    ]


def _of_epochs(
    work_dir: WorkDir,
    run: Run,
    model: AdversarialModel,
    progress: Progress,
    criterion: Criterion,
    tracking: Tracking,
) -> list[keras.callbacks.Callback]:
    """What the chief does beside."""
    validation = Validation(
        run.predictor(model), run.records, run.settings.validation_folds, criterion
    )
    steps = (run.method.epochs - progress.epochs) * run.method.steps_per_epoch
    microscope = next(microscopes(run, progress), None)
    return [
        Duration(steps),
        *([microscope] if microscope else []),
        # In this order: what validation finds, the others write.
        validation,
        TensorBoard(work_dir, run, validation, progress, microscope, tracking),
        Checkpoints(work_dir, progress, criterion),
    ]


def _require_same_replicas(progress: Progress, replicas: int) -> None:
    """Raises UserError where others trained the finished epochs, with other batches.

    Args:
        replicas: of several workers; 0 of a process alone. Noted in the progress.
    """
    if progress.epochs and progress.replicas != replicas:
        words = [
            f"{n} replicas on several nodes" if n else "one process"
            for n in (progress.replicas, replicas)
        ]
        raise UserError(
            f"expected {words[0]}, which trained the run's {progress.epochs} finished epochs, "
            f"received {words[1]}: batches would be others. Train so, or in another --work_dir, "
            "which --init_from can begin with this run's weights"
        )
    progress.replicas = replicas
