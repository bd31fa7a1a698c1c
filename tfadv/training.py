"""One training run, from a record set to checkpoints.

record set -> training batches -> AdversarialModel.fit -> (each epoch) validation, checkpoint
"""

from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfadv.adversarial import AdversarialModel
from tfadv.callbacks import (
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
from tfadv.inference import Predictor
from tfadv.methods.method import Method
from tfadv.split import Split, positive_subjects, training_subjects
from tfadv.validation import scored_regions
from tfadv.work_dir import MEAN, Settings, WorkDir
from tfrecords.errors import UserError
from tfrecords.input import training_batches
from tfrecords.manifest import Manifest
from tfrecords.record_set import RecordSet, damage_named, open_record_set


def settings_of(
    method: Method,
    hp: Any,
    records: RecordSet,
    split: Split,
    precision: str,
    seed: int,
    *,
    positive_fraction: float = 1.0,
    selected_by: str = MEAN,
) -> Settings:
    """What determines a run; see `Settings`.

    Raises:
        UserError: the fraction is not in (0, 1], or nothing is scored under that name.
    """
    if not 0 < positive_fraction <= 1:
        raise UserError(
            "--positive_fraction: expected a share in (0, 1] of the training subjects, received "
            f"{positive_fraction}"
        )
    scored = (MEAN, *scored_regions(records.manifest))
    if selected_by not in scored:
        raise UserError(f"--select_by: expected one of {', '.join(scored)}, received {selected_by}")
    return Settings(
        method.name,
        asdict(hp),
        str(records.folder.resolve()),
        split.training,
        split.validation,
        split.test,
        precision,
        seed,
        positive_fraction,
        selected_by,
    )


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
    step_batch = recipe.batch * model.players.minibatches * strategy.num_replicas_in_sync
    batches = training_batches(
        records,
        settings.training_folds,
        replace(recipe, batch=step_batch),
        seed,
        range(progress.epochs, hp.epochs),
        hp.steps_per_epoch,
        subjects,
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


def build_model(
    method: Method,
    hp: Any,
    manifest: Manifest,
    precision: str = "float32",
    strategy: tf.distribute.Strategy | None = None,
) -> AdversarialModel:
    """A method's compiled model for a record set."""
    keras.config.set_dtype_policy(precision)
    with (strategy or tf.distribute.get_strategy()).scope():
        outputs = method.targets(manifest).names
        players = method.build(hp, len(manifest.modalities), outputs)
        model = AdversarialModel(players)
        model.compile()
    return model


def make_predictor(
    model: AdversarialModel, method: Method, hp: Any, manifest: Manifest
) -> Predictor:
    targets, tiling = method.targets(manifest), method.tiling(hp, manifest)
    return Predictor(model.segmentor, manifest, targets, hp.normalisation, tiling)


def load_run(work_dir: WorkDir) -> tuple[Settings, RecordSet, AdversarialModel, Predictor]:
    """A trained run with the weights of its best epoch."""
    settings = work_dir.settings()
    records = open_record_set(Path(settings.records))
    method, hp = settings.resolved()
    model = build_model(method, hp, records.manifest, settings.precision)
    work_dir.restore_best(model)
    return settings, records, model, make_predictor(model, method, hp, records.manifest)


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
