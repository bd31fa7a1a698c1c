"""What every named method's runs must pass: resumed like undisturbed, served like evaluated."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.tfadv.methods.conforming import slow_except, tiny
from tfadv.adversarial import AdversarialModel
from tfadv.inference.export import describe, export
from tfadv.methods.method import Method
from tfadv.run.run import Run, load_run
from tfadv.run.work_dir import Progress, WorkDir
from tfadv.training.train import make_deterministic, train
from tfrecords.reading.record_set import RecordSet, subject_volumes


# Patches and volumes; Adam and RMSprop, dropout, moving statistics. A run of slices goes on bit for
# bit in the tests of training.
@slow_except((), standing={"moeskops_dilated_adversarial", "reciprocal_critic"})
def test_resumed_equals_undisturbed_and_export_equals_predict(
    method: type[Method], records_of: Callable[[str], RecordSet], tmp_path: Path
) -> None:
    """Equal seeds give equal runs, killed or not; what is served is what was evaluated."""
    killed = WorkDir(tmp_path / "killed")
    whole = CopiedAfterFirstEpoch(tmp_path / "whole", killed.folder)
    run = Run.new(tiny(method), records_of(method.view.kind), seed=3)
    make_deterministic()
    train(whole, run)
    assert killed.progress().epochs == 1
    train(killed, run)
    assert [row["epoch"] for row in killed.progress().history] == [1, 2]
    assert whole.progress() == killed.progress()
    for one, other in zip(_last_weights(whole, run), _last_weights(killed, run), strict=True):
        np.testing.assert_array_equal(one, other)

    trained, _, predictor = load_run(whole)
    model_dir = export(predictor, describe(predictor, trained.manifest, []), tmp_path / "model")
    serve = tf.saved_model.load(str(model_dir)).signatures["serving_default"]
    for volume in subject_volumes(trained.records, trained.settings.test_folds):
        image = tf.constant(volume.image.astype(np.float32))
        expected, served = predictor.predict(image), serve(volume=image)
        for name in ("label", "probabilities"):
            np.testing.assert_array_equal(expected[name], served[name])


class CopiedAfterFirstEpoch(WorkDir):
    """What a kill within the second epoch would leave is kept elsewhere."""

    def __init__(self, folder: Path, copy: Path) -> None:
        super().__init__(folder)
        self.copy = copy

    def save(self, model: AdversarialModel, progress: Progress) -> None:
        super().save(model, progress)
        if progress.epochs == 1:
            shutil.copytree(self.folder, self.copy)


def _last_weights(work_dir: WorkDir, run: Run) -> list[np.ndarray]:
    """Networks and optimizers."""
    model = run.build_model()
    work_dir.restore(model)
    optimizers = [v.numpy() for o in model.players.optimizers.values() for v in o.variables]
    return [v.numpy() for n in model.players.networks.values() for v in n.weights] + optimizers
