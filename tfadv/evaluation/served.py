"""An exported model in the place of a predictor, and the subjects that it may be scored on."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from absl import logging

from tfadv.inference.description import kind
from tfadv.inference.model import load, read_description
from tfadv.inference.targets import Targets, class_targets, region_targets
from tfrecords.errors import UserError
from tfrecords.names import differences, shortened
from tfrecords.reading.record_set import RecordSet


class Served:
    """What a server would answer to volumes.

    Args:
        model_dir: a model made by launch/export.py.

    Raises:
        UserError: see `read_description` and `load`.
    """

    def __init__(self, model_dir: Path) -> None:
        self.folder = model_dir
        self.description = read_description(model_dir)
        self._segment = load(model_dir, self.description)

    @property
    def quality(self) -> tuple[str, ...]:
        return self.description.quality

    @property
    def targets(self) -> Targets:
        """What its probabilities are of."""
        made = self.description
        return class_targets(made) if made.exclusive else region_targets(made)

    def predict(self, volume: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `Predictor.serve`."""
        found = self._segment(volume.numpy())
        return {name: tf.constant(value) for name, value in found._asdict().items()}

    serve = predict

    def require_unseen(self, records: RecordSet, folds: Sequence[str]) -> None:
        """Warns of subjects that chose an epoch of the model.

        Raises:
            UserError: the record set is of another kind than the model's, or subjects of these
                folds trained it.
        """
        if differing := differences(kind(self.description), kind(records.manifest)):
            raise UserError(
                f"{self.folder} and {records.folder}: expected a record set like those that the "
                f"model was made by. They differ in {differing}. Preprocess with the same flags"
            )
        wanted = [s for s in records.manifest.subjects if s.fold in folds]
        seen = self.description.seen
        trained = [s for s in wanted if s.fingerprint in set(seen.training)]
        if trained:
            raise UserError(
                f"{self.folder}: expected folds of which no subject trained it, received folds "
                f"{', '.join(sorted({s.fold for s in trained}))} with "
                f"{shortened([s.name for s in trained])}. Give --folds that no member trained on"
            )
        chose = [s.name for s in wanted if s.fingerprint in set(seen.validation)]
        if chose:
            logging.warning(
                "%s: %d of %d subjects chose its members' epochs: the scores will be optimistic",
                self.folder,
                len(chose),
                len(wanted),
            )
