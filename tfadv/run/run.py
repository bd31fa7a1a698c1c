"""A run's model and predictor."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfadv.adversarial import AdversarialModel
from tfadv.inference.predictor import Predictor
from tfadv.methods.method import Method
from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfrecords.reading.record_set import RecordSet, open_record_set
from tfrecords.records.manifest import Manifest


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
