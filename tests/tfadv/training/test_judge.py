"""A judge that learns, is kept beside its run, and goes into the model."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfadv.inference.targets import class_targets
from tfadv.run.ensemble import load_ensemble
from tfadv.run.judge import build_judge, load_judge
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir
from tfadv.training.judge import Pairs, _learn, train_judge
from tfrecords.errors import UserError
from tfrecords.sources.subject import IGNORED


@pytest.fixture(scope="module")
def judged(run: WorkDir, tmp_path_factory: pytest.TempPathFactory) -> WorkDir:
    """A copy of the run, with a judge that learned a little."""
    folder = tmp_path_factory.mktemp("judged") / "run"
    shutil.copytree(run.folder, folder)
    work_dir = WorkDir(folder)
    train_judge(work_dir, 5)
    return work_dir


@pytest.mark.slow
def test_a_judge_learns_shapes(run: WorkDir, seeded: None) -> None:
    trained, *_ = load_run(run)
    judge = build_judge(trained)
    random = np.random.default_rng(0)
    image = random.normal(size=(16, 16, 16, 2)).astype(np.float16)
    true, made = np.zeros((2, 16, 16, 16), np.uint8)
    true[:, 4:12, 4:12] = made[:, 4:12, 4:12] = 1
    made[random.random(made.shape) < 0.1] = 2
    true[:, 0], made[:, 0] = IGNORED, IGNORED  # Which neither shows.
    targets = class_targets(trained.manifest)
    _learn(judge, Pairs(image, true, made), targets, 60, random)

    def said(labels: np.ndarray) -> float:
        shown = np.where(labels == IGNORED, 0, labels)
        maps = targets.masks(shown) * (labels != IGNORED)[..., None]
        return float(judge.verdict(tf.constant(image, tf.float32), maps, shown > 0))

    assert said(true) > said(made) + 1


@pytest.mark.slow
def test_a_judge_goes_into_the_model(judged: WorkDir, run: WorkDir) -> None:
    assert load_judge(run, load_run(run).run) is None
    ensemble = load_ensemble([judged])
    predictor = ensemble.predictor()
    assert predictor.quality == ("entropy", "judge")
    volume = np.random.default_rng(0).uniform(1, 500, (4, 32, 32, 2)).astype(np.float32)
    with_quality, without = predictor.serve(volume), predictor.predict(volume)
    assert with_quality["quality"].shape == (2,)
    assert sorted(without) == ["label", "probabilities"]
    for name, value in without.items():
        np.testing.assert_array_equal(with_quality[name], value)


@pytest.mark.slow
def test_the_same_seed_makes_the_same_judge(judged: WorkDir, tmp_path: Path) -> None:
    again = WorkDir(tmp_path / "run")
    shutil.copytree(judged.folder, again.folder)
    train_judge(again, 5)
    trained, *_ = load_run(judged)
    first, second = load_judge(judged, trained), load_judge(again, trained)
    assert first is not None
    assert second is not None
    for one, other in zip(first.network.weights, second.network.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_damaged_judge_is_refused(judged: WorkDir, tmp_path: Path) -> None:
    damaged = WorkDir(tmp_path / "run")
    shutil.copytree(judged.folder, damaged.folder)
    with (damaged.folder / "judge.weights.h5").open("ab") as file:
        file.write(b"0")
    with pytest.raises(UserError, match="changed since it was made"):
        load_judge(damaged, load_run(damaged).run)


@pytest.mark.slow
def test_a_judge_of_another_epoch_is_left_out(
    judged: WorkDir, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = WorkDir(tmp_path / "run")
    shutil.copytree(judged.folder, trained.folder)
    run, model, _ = load_run(trained)
    progress = trained.progress()
    for variable in model.variables:
        variable.assign(variable + 1e-3 if variable.dtype == "float32" else variable)
    trained.save(model, progress)
    assert load_judge(trained, run) is None
    assert "judges an epoch that is no more the best" in caplog.text
