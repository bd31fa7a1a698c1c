"""One training run, from a record set to checkpoints.

record set -> training batches -> AdversarialModel.fit -> (each epoch) validation, checkpoint
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfadv.adversarial import AdversarialModel
from tfadv.methods.method import Method
from tfadv.run.run import build_model, make_predictor
from tfadv.run.settings import Settings
from tfadv.run.split import positive_subjects, training_subjects
from tfadv.run.work_dir import WorkDir
from tfadv.training.callbacks import (
    Checkpoints,
    Duration,
    LearningRates,
    RandomStates,
    StopAtDeadCritic,
    StopAtDivergence,
    StopAtSignal,
    StoppedError,
    TensorBoard,
    Validation,
)
from tfrecords.errors import UserError
from tfrecords.reading.batches import training_batches
from tfrecords.reading.record_set import RecordSet, damage_named, open_record_set


def make_deterministic() -> None:
    """Equal runs of this process give equal bits; slower on GPUs."""
    tf.config.experimental.enable_op_determinism()


def train(work_dir: WorkDir, settings: Settings) -> None:
    """Trains, or goes on where an earlier call with the same settings was stopped.

    Raises:
        UserError: the folder holds another run, or the losses are no longer finite.
    """
    work_dir.begin(settings)
    method, hp = settings.resolved()
    records = open_record_set(Path(settings.records))
    seed = settings.seed
    # Not 0: tf.data, given a tensor as seed, compares it with a global seed of 0, and fails.
    keras.utils.set_random_seed(1 + seed)
    devices = [device.name for device in tf.config.list_logical_devices("GPU")] or ["CPU:0"]
    strategy = tf.distribute.MirroredStrategy(devices)
    model = build_model(method, hp, records.manifest, settings.precision, strategy)
    progress = work_dir.restore(model)
    if progress.epochs >= hp.epochs:
        print(f"{work_dir.folder}: all {hp.epochs} epochs are finished.")
        return
    subjects = training_subjects(
        records.manifest, settings.training_folds, settings.positive_fraction, seed
    )
    _announce(method, model, settings, records, subjects)
    print(
        f"{strategy.num_replicas_in_sync} replica(s): {', '.join(strategy.extended.worker_devices)}"
    )
    if progress.epochs:
        print(f"resuming after epoch {progress.epochs}")
    recipe = method.recipe(hp, records.manifest)
    batches = training_batches(
        records,
        settings.training_folds,
        recipe,
        seed,
        range(progress.epochs, hp.epochs),
        hp.steps_per_epoch,
        subjects,
        minibatches=model.players.minibatches * strategy.num_replicas_in_sync,
    )
    predictor = make_predictor(model, method, hp, records.manifest)
    validation = Validation(predictor, records, settings.validation_folds)
    callbacks = [
        StopAtDivergence(),
        StopAtDeadCritic(model.players),
        RandomStates(seed),
        LearningRates(method, hp),
        Duration((hp.epochs - progress.epochs) * hp.steps_per_epoch),
        # In this order: what validation finds, the others write.
        validation,
        TensorBoard(work_dir, validation),
        Checkpoints(work_dir, progress, settings.selected_by),
    ]
    with damage_named(records):
        _fit(model, batches, hp, progress.epochs, callbacks, work_dir)
    print(
        f"best epoch {progress.best_epoch} of {progress.epochs}: validation Dice "
        f"{progress.best_dice:.3f}"
    )


def _fit(
    model: AdversarialModel,
    batches: tf.data.Dataset,
    hp: Any,
    initial_epoch: int,
    callbacks: list[keras.callbacks.Callback],
    work_dir: WorkDir,
) -> None:
    """Keras' `fit`, which SIGTERM and Ctrl-C end between two steps."""
    stop = StopAtSignal()
    try:
        model.fit(
            batches,
            initial_epoch=initial_epoch,
            epochs=hp.epochs,
            steps_per_epoch=hp.steps_per_epoch,
            callbacks=[stop, *callbacks],
        )
    except StoppedError as stopped:
        raise UserError(
            f"stopped by {stopped}; {work_dir.progress().epochs} of {hp.epochs} epochs are saved "
            f"in {work_dir.folder}. The same command goes on with the epoch after them"
        ) from None
    finally:
        stop.restore()


def _announce(
    method: Method,
    model: AdversarialModel,
    settings: Settings,
    records: RecordSet,
    subjects: Collection[str],
) -> None:
    counts = ", ".join(f"{n} {k.count_params():,}" for n, k in model.players.networks.items())
    print(f"{method.name}: {method.summary}. Parameters: {counts}.")
    print(f"training: {len(subjects)} subjects (folds {', '.join(settings.training_folds)})")
    if settings.positive_fraction < 1:
        everyone = positive_subjects(records.manifest, settings.training_folds)
        kept = sum(name in subjects for name in everyone)
        print(f"of group {records.manifest.groups[0]}, {kept} of {len(everyone)} subjects train")
    of_fold = [subject.fold for subject in records.manifest.subjects]
    for use, folds in (
        ("validation", settings.validation_folds),
        ("test", settings.test_folds),
    ):
        number = sum(fold in folds for fold in of_fold)
        print(f"{use}: {number} subjects (folds {', '.join(folds)})")
    if settings.test_folds == settings.validation_folds:
        print("the same subjects choose the epoch and test it: the scores will be optimistic")
