"""A run: a configured method on a record set. Model, predictor and batches come from it."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import keras
import tensorflow as tf

from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.inference.judges import SliceJudge
from tfadv.inference.members import Member
from tfadv.inference.predictor import NOBODY, Predictor
from tfadv.inference.quality import Judges
from tfadv.methods.method import Method
from tfadv.players import Players
from tfadv.run.settings import RANDOM, Initial, Settings
from tfadv.run.split import HeldOut, choose_split, training_subjects, unlabelled_subjects
from tfadv.run.work_dir import REMEDY, WorkDir
from tfrecords.errors import SettingError, UserError
from tfrecords.memory import free_memory
from tfrecords.names import MEAN
from tfrecords.reading.batches import Parts, training_batches
from tfrecords.reading.record_set import RecordSet, open_record_set
from tfrecords.records.manifest import Manifest

IMAGE_BYTES = 4  # Of a channel of a voxel, normalised: float32.


@dataclass(frozen=True)
class Run:
    """What training, evaluation, export and studies take their parts from."""

    settings: Settings
    method: Method
    records: RecordSet

    @classmethod
    def new(
        cls,
        method: Method,
        records: RecordSet,
        held_out: HeldOut | None = None,
        *,
        seed: int = 0,
        positive_fraction: float = 1.0,
        selected_by: str = MEAN,
        initial: Initial = RANDOM,
        unlabelled_subjects: int = 0,
    ) -> Self:
        """A run that nobody has started. Raises SettingError that names what is wrong.

        What a network makes of a batch is not known here; a batch that cannot even be held is.

        Args:
            held_out: see `choose_split`.
            initial: see `initial.initial_of`.
            unlabelled_subjects: see `Settings`.
        """
        _require_memory(method, records.manifest)
        split = choose_split(records.manifest, held_out or HeldOut())
        # Refuses values that this record set does not know.
        recipe = method.recipe(records.manifest)
        if unlabelled_subjects and not recipe.unlabelled:
            raise SettingError(
                "unlabelled_subjects",
                "expected none without hp.unlabelled=true, by which a method takes images without "
                f"label map, received {unlabelled_subjects} for {method.name}",
            )
        settings = Settings(
            method.name,
            method.values,
            str(records.folder.resolve()),
            split.training,
            split.validation,
            split.test,
            seed,
            positive_fraction,
            selected_by,
            *initial,
            unlabelled_subjects,
        )
        run = cls(settings, method, records)
        _ = run.unlabelled_subjects  # Refuses more than there are.
        return run

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The run that settings describe.

        Raises:
            SettingError: the method does not exist or has other hyperparameters.
            UserError: the record set is not whole, or has other folds.
        """
        method = methods.get(settings.method).restore(settings.hyperparameters)
        missing = sorted(method.values.keys() - settings.hyperparameters.keys())
        if missing:
            raise SettingError("hyperparameters", f"expected {', '.join(missing)} as well")
        records = open_record_set(Path(settings.records))
        folds = {*settings.training_folds, *settings.validation_folds, *settings.test_folds}
        unknown = sorted(folds - set(records.manifest.folds))
        if unknown:
            raise UserError(
                f"{records.folder}: expected the run's folds {', '.join(unknown)} as well, "
                f"received {', '.join(records.manifest.folds)}: it was made anew, or the run's "
                "settings were edited. Train again in another --work_dir"
            )
        return cls(settings, method, records)

    @property
    def manifest(self) -> Manifest:
        return self.records.manifest

    @property
    def subjects(self) -> frozenset[str]:
        """Names of those that train."""
        settings = self.settings
        return training_subjects(
            self.manifest, settings.training_folds, settings.positive_fraction, settings.seed
        )

    @property
    def unlabelled_subjects(self) -> frozenset[str] | None:
        """Names of those whose images alone train; None for all without a label map."""
        settings = self.settings
        if not settings.unlabelled_subjects:
            return None
        return unlabelled_subjects(
            self.manifest,
            settings.training_folds,
            self.subjects,
            settings.seed,
            settings.unlabelled_subjects,
        )

    def build_model(self, strategy: tf.distribute.Strategy | None = None) -> AdversarialModel:
        """The method's compiled model, in the method's precision."""
        with (strategy or tf.distribute.get_strategy()).scope():
            model = AdversarialModel(
                self.method.trained(self.build_players()), self.method.accumulation
            )
            model.compile()
        return model

    def build_players(self) -> Players:
        """What the method builds, before any control, in the method's precision."""
        keras.config.set_dtype_policy(self.method.precision)
        outputs = self.method.targets(self.manifest).names
        return self.method.build(len(self.manifest.modalities), outputs)

    def predictor(self, model: AdversarialModel) -> Predictor:
        """Raw volumes to label maps, by the model's segmentor."""
        return self.predictor_of([self.member(model)])

    def member(self, model: AdversarialModel, mirrored: tuple[int, ...] = ()) -> Member:
        """The model's segmentor, as a part of a predictor; see `Member`."""
        return Member(model.segmentor, self.method.tiling(self.manifest), mirrored)

    def discriminator(self, model: AdversarialModel) -> SliceJudge | None:
        """What tells of finished maps by the model's discriminator, where there is one that can."""
        network = model.players.networks.get("discriminator")
        return None if network is None else self.method.judge(network)

    def predictor_of(
        self,
        members: Sequence[Member],
        largest: tuple[int, ...] = (),
        judges: Judges = NOBODY,
    ) -> Predictor:
        """Raw volumes to label maps, by members of this run or of ones like it; see `Predictor`."""
        method, manifest = self.method, self.manifest
        targets = method.targets(manifest)
        return Predictor(members, manifest, targets, method.normalisation, largest, judges)

    def batches(
        self, model: AdversarialModel, epochs: range, subjects: Collection[str] | None = None
    ) -> tf.data.Dataset:
        """Training batches of the given epochs for all replicas of the model.

        Where several workers train, those of this one's replicas, one after another: in the order
        in which `MirroredStrategy` cuts a whole batch.

        Args:
            subjects: those that train; `subjects` of this run if not given.
        """
        strategy = model.distribute_strategy

        def read(parts: Parts | None = None) -> tf.data.Dataset:
            return training_batches(
                self.records,
                self.settings.training_folds,
                self.method.recipe(self.manifest),
                self.settings.seed,
                epochs,
                self.method.steps_per_epoch,
                self.subjects if subjects is None else subjects,
                self.unlabelled_subjects,
                minibatches=model.players.minibatches * strategy.num_replicas_in_sync,
                parts=parts,
            )

        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return read()
        return strategy.distribute_datasets_from_function(lambda context: read(_of_worker(context)))


def _of_worker(context: tf.distribute.InputContext) -> Parts:
    """A part for each of a worker's replicas, of which all have as many."""
    count = context.num_replicas_in_sync // context.num_input_pipelines
    return Parts(context.input_pipeline_id * count, count, context.num_replicas_in_sync)


def _require_memory(method: Method, manifest: Manifest) -> None:
    """TensorFlow ends the process at a batch for which there is no room."""
    recipe = method.recipe(manifest)
    needed = recipe.minibatch * math.prod(recipe.size) * len(manifest.modalities) * IMAGE_BYTES
    free = free_memory()
    if free is not None and needed > free:
        raise SettingError(
            "hp.batch_size",
            f"expected images that fit into memory, of which {free} bytes are free, received "
            f"{recipe.minibatch} in a minibatch, of {needed} bytes",
        )


class Trained(NamedTuple):
    """A run with the weights of its best epoch."""

    run: Run
    model: AdversarialModel
    predictor: Predictor


def load_run(work_dir: WorkDir) -> Trained:
    """Raises UserError where there is no run, it is damaged, or no epoch is finished."""
    try:
        run = Run.open(work_dir.settings())
    except SettingError as error:  # No flag of whoever loads it.
        raise UserError(f"{work_dir.hyperparameters}: {error}. {REMEDY}") from error
    model = run.build_model()
    work_dir.restore_best(model)
    return Trained(run, model, run.predictor(model))
