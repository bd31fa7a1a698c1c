"""Runs as one model: what is averaged, what is noted, and what cannot be one."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfadv.inference.description import DESCRIPTION, VERSION, ComponentNote, Description
from tfadv.run.ensemble import load_ensemble
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import SettingError, UserError
from tfrecords.files import read_json, write_json
from tfrecords.reading.record_set import open_record_set, subject_volumes

Rewrite = Callable[[Path, dict[str, Any]], None]


def image(run: WorkDir) -> tf.Tensor:
    """Of a test subject."""
    settings = run.settings()
    records = open_record_set(Path(settings.records))
    volume = next(iter(subject_volumes(records, settings.test_folds)))
    return tf.constant(volume.image.astype(np.float32))


@pytest.mark.slow
def test_probabilities_are_the_runs_mean(run: WorkDir, other_run: WorkDir) -> None:
    both = load_ensemble([run, other_run])
    volume = image(run)
    alone = [part.predictor().predict(volume) for part in both.alone()]
    together = both.predictor().predict(volume)
    expected = np.mean([each["probabilities"] for each in alone], axis=0)
    np.testing.assert_allclose(together["probabilities"], expected, atol=1e-6)
    assert np.abs(alone[0]["probabilities"] - alone[1]["probabilities"]).max() > 0.01
    labels = np.argmax(together["probabilities"], -1)
    np.testing.assert_array_equal(together["label"], labels)


def test_the_description_lists_runs_options_and_who_trained(
    run: WorkDir, other_run: WorkDir, tmp_path: Path
) -> None:
    both = load_ensemble([run, other_run], mirror=True, axes=("x",))
    components = [
        ComponentNote("label_1", 4, 0.8, 0.9, kept=True),
        ComponentNote("label_2", 4, 0.8, 0.7, kept=False),
    ]
    predictor = both.predictor(components)
    assert predictor.largest == (1,)
    path = tmp_path / DESCRIPTION
    write_json(path, both.describe(predictor, components), VERSION)
    description = read_json(path, Description, VERSION, "")
    first, second = description.members
    assert (first.seed, second.seed) == (0, 1)
    assert (first.training_folds, second.training_folds) == (("0",), ("1",))
    assert (second.validation_folds, second.test_folds) == (("2",), ("0",))
    assert (second.epoch, second.validation) == (2, run.progress().best)
    assert first.mirrored == second.mirrored == ("x",)
    assert list(description.components) == components
    manifest = both.first.manifest
    by_fold = {fold: {s.fingerprint for s in manifest.subjects if s.fold == fold} for fold in "012"}
    assert set(description.seen.training) == by_fold["0"] | by_fold["1"]
    assert set(description.seen.validation) == by_fold["2"]
    assert len(by_fold["0"]) == 2


def test_mirrored_are_the_axes_of_training(run: WorkDir, caplog: pytest.LogCaptureFixture) -> None:
    assert load_ensemble([run], mirror=True).mirrored == ((2,),)
    assert load_ensemble([run]).mirrored == ((),)
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert load_ensemble([run], mirror=True, axes=("x",)).mirrored == ((2,),)
        assert not caplog.messages
        assert load_ensemble([run], mirror=True, axes=("x", "y")).mirrored == ((1, 2),)
    (told,) = caplog.messages
    assert told.startswith("kohl_cross_entropy: training never mirrored along y; compare")


@pytest.mark.slow
def test_other_axes_are_refused(run: WorkDir, tmp_path: Path, rewrite_json: Rewrite) -> None:
    message = "mirror_axes: expected some of y,x, .* training mirrored along"
    for axes in ("z",), ("x", "x"), ("w",):
        with pytest.raises(SettingError, match=f"{message} x. Received {','.join(axes)}"):
            load_ensemble([run], mirror=True, axes=axes)
    other = WorkDir(shutil.copytree(run.folder, tmp_path / "other"))
    values = json.loads(run.hyperparameters.read_text())["hyperparameters"]
    rewrite_json(other.hyperparameters, {"hyperparameters": values | {"mirror": False}})
    with pytest.raises(SettingError, match=rf"{message} none\. Received none"):
        load_ensemble([other], mirror=True)


def test_a_run_counts_once(run: WorkDir) -> None:
    with pytest.raises(UserError, match="expected different runs, received this one several"):
        load_ensemble([run, WorkDir(run.folder / ".." / run.folder.name)])


def test_runs_that_cannot_be_one_model_are_refused(
    run: WorkDir, tmp_path: Path, rewrite_json: Rewrite
) -> None:
    other = WorkDir(shutil.copytree(run.folder, tmp_path / "other"))
    values = json.loads(run.hyperparameters.read_text())["hyperparameters"]
    rewrite_json(other.hyperparameters, {"hyperparameters": values | {"normalisation": "min_max"}})
    with pytest.raises(
        UserError, match=r"can be one model\. They differ in normalisation: z_score"
    ):
        load_ensemble([run, other])
