"""Runs that begin with other runs' weights."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.inference.description import DESCRIPTION
from tfadv.inference.weights import named_weights
from tfadv.run.initial import (
    FirstWeights,
    begin_with,
    inherit,
    initial_of,
    read_first_weights,
    trained_on,
)
from tfadv.run.run import Run, load_run
from tfadv.run.split import HeldOut
from tfadv.run.work_dir import WorkDir
from tfadv.training.train import make_deterministic, train
from tfrecords.errors import SettingError, UserError
from tfrecords.reading.record_set import RecordSet

SMALL = ["precision=float32", "convolutions=1", "batch_size=2", "epochs=2", "steps_per_epoch=2"]


def beginning(records: RecordSet, source: Path, work_dir: WorkDir, **values: Any) -> Run:
    method = methods.get(values.pop("method", "kohl_cross_entropy")).configure("small", SMALL)
    initial = initial_of(source, work_dir)
    return Run.new(method, records, HeldOut(("1",), ("2",)), initial=initial, **values)


def arrays(model: AdversarialModel, network: str = "segmentor") -> dict[str, np.ndarray]:
    variables = named_weights(model.players.networks[network])
    return {name: variable.numpy() for name, variable in variables.items()}


@pytest.mark.parametrize("kind", ["run", "model"])
def test_the_best_epochs_weights_are_given(
    kind: str, run: WorkDir, model_dir: Path, records: RecordSet, tmp_path: Path
) -> None:
    """To another method's segmentor of the same kind; its discriminator starts afresh."""
    source = {"run": run.folder, "model": model_dir}[kind]
    begun = beginning(records, source, WorkDir(tmp_path), method="kohl_hybrid")
    assert begun.settings.init_from == str(source.resolve())
    first = read_first_weights(begun.settings)
    assert list(first.weights) == ["segmentor"]
    model = begun.build_model()
    judge = arrays(model, "discriminator")
    begin_with(first, model)
    expected = arrays(load_run(run).model)
    found = arrays(model)
    assert found.keys() == expected.keys()
    assert len(found) > 20
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    for name, values in arrays(model, "discriminator").items():
        np.testing.assert_array_equal(values, judge[name], err_msg=name)


def test_what_does_not_fit_is_told_and_starts_afresh(
    records: RecordSet, caplog: pytest.LogCaptureFixture
) -> None:
    """Another class and another channel: the last and the first layer."""
    method = methods.get("kohl_hybrid").configure("small", SMALL)
    smaller = method.players(1, ("none", "a")).networks
    model = Run.new(method, records).build_model()
    before = arrays(model)
    weights = {
        name: {path: 1 + 0 * v.numpy() for path, v in named_weights(network).items()}
        for name, network in smaller.items()
    }
    del weights["segmentor"]["Conv2D_3/0_kernel"]
    weights["segmentor"]["old/0_kernel"] = np.zeros(3)
    with caplog.at_level(logging.INFO, logger="absl"):
        begin_with(FirstWeights("there", weights, frozenset()), model)
    after = arrays(model)
    afresh = ["Conv2D_0/0_kernel", "Conv2D_3/0_kernel", "logits/0_kernel", "logits/1_bias"]
    for name, values in after.items():
        expected = before[name] if name in afresh else np.ones_like(values)
        np.testing.assert_array_equal(values, expected, err_msg=name)
    count = len(after)
    assert caplog.messages[:4] == [
        f"segmentor: {count - 4} of {count} variables are those of there",
        "segmentor: 3 of another shape there start afresh: Conv2D_0/0_kernel, logits/0_kernel, "
        "logits/1_bias",
        "segmentor: 1 not there start afresh: Conv2D_3/0_kernel",
        "segmentor: 1 there are not used: old/0_kernel",
    ]
    assert caplog.messages[4].startswith("discriminator: ")
    nothing = FirstWeights("there", {"segmentor": {"x": np.zeros(1)}}, frozenset())
    with pytest.raises(UserError, match="there: nothing of its segmentor fits"):
        begin_with(nothing, model)


@pytest.mark.slow
@pytest.mark.variants  # Resumed runs are compared otherwise.
def test_a_resumed_run_needs_no_source_and_ends_alike(
    run: WorkDir, records: RecordSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Path(shutil.copytree(run.folder, tmp_path / "source"))
    make_deterministic()
    whole, killed = WorkDir(tmp_path / "whole"), Stopped(tmp_path / "killed")
    train(whole, beginning(records, source, whole))
    with pytest.raises(KeyboardInterrupt):
        train(killed, beginning(records, source, killed))
    shutil.rmtree(source)
    again = WorkDir(killed.folder)
    with caplog.at_level(logging.INFO, logger="absl"):
        train(again, beginning(records, source, again))
    assert "resuming after epoch 1" in caplog.messages
    assert whole.progress() == again.progress()
    models = [load_run(each).model for each in (whole, again)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UserError, match=r"other settings \(init_from: .*source there,  given"):
        again.begin(Run.new(load_run(again).run.method, records, HeldOut(("1",), ("2",))).settings)


class Stopped(WorkDir):
    """Killed after the first epoch."""

    def save(self, *arguments: Any) -> None:
        super().save(*arguments)
        raise KeyboardInterrupt


def test_a_source_that_changed_before_the_first_epoch_is_refused(
    run: WorkDir, records: RecordSet, tmp_path: Path, rewrite_json: Callable[..., None]
) -> None:
    source = Path(shutil.copytree(run.folder, tmp_path / "source"))
    begun = beginning(records, source, WorkDir(tmp_path / "run"))
    progress = WorkDir(source).progress()
    weights = {str(epoch): "other" for epoch in progress.weights}
    rewrite_json(source / "progress.json", {"weights": weights})
    with pytest.raises(UserError, match="source: changed since this run was to begin with it"):
        train(WorkDir(tmp_path / "run"), begun)
    assert not (tmp_path / "run" / "hyperparameters.json").exists()


@pytest.mark.slow
def test_subjects_that_the_source_knows_are_told(
    run: WorkDir,
    records: RecordSet,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It trained on fold 0."""
    monkeypatch.setattr("tfadv.training.train._fit", lambda *_: None)
    method = methods.get("kohl_cross_entropy").configure("small", SMALL)
    for number, held_out in enumerate([HeldOut(("0",), ("2",)), HeldOut(("1",), ("2",))]):
        work_dir = WorkDir(tmp_path / str(number))
        initial = initial_of(run.folder, work_dir)
        train(work_dir, Run.new(method, records, held_out, initial=initial))
    (told,) = [text for text in caplog.messages if "optimistic" in text]
    assert "was trained on 2 of the 4 subjects that validate and test" in told


@pytest.mark.slow
def test_whom_the_source_knows_the_run_knows(
    run: WorkDir, records: RecordSet, tmp_path: Path
) -> None:
    """And so does a run that begins with that one."""
    begun = beginning(records, run.folder, WorkDir(tmp_path))
    inherit(WorkDir(tmp_path), FirstWeights("there", {}, frozenset({"a", "b"})))
    own = {s.fingerprint for s in records.manifest.subjects if s.fold == "0"}
    assert trained_on(WorkDir(tmp_path), begun) == own | {"a", "b"}
    assert trained_on(run, load_run(run).run) == own


def test_what_is_neither_run_nor_model_is_refused(run: WorkDir, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"init_from: expected a run made by .* received"):
        initial_of(tmp_path, WorkDir(tmp_path))
    begun = WorkDir(tmp_path / "begun")
    begun.begin(run.settings())
    with pytest.raises(UserError, match="begun: no epoch is finished yet"):
        initial_of(begun.folder, WorkDir(tmp_path))


def test_a_run_goes_on_with_the_version_that_it_began_with(
    model_dir: Path, run: WorkDir, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder / "1")
    begun = WorkDir(Path(shutil.copytree(run.folder, tmp_path / "run")))
    first = initial_of(folder, WorkDir(tmp_path / "none"))
    assert first.source == str(folder / "1")
    (begun.folder / "hyperparameters.json").unlink()
    begun.begin(replace(run.settings(), init_from=first.source, init_sha256=first.sha256))
    shutil.copytree(model_dir, folder / "2")
    assert initial_of(folder, begun) == initial_of(folder / "1", begun) == first
    assert initial_of(folder, WorkDir(tmp_path / "none")).source == str(folder / "2")
    shutil.rmtree(folder)
    assert initial_of(folder, begun) == first


def test_a_model_of_several_runs_is_refused(
    model_dir: Path, records: RecordSet, tmp_path: Path, rewrite_json: Callable[..., None]
) -> None:
    model = Path(shutil.copytree(model_dir, tmp_path / "model"))
    members = json.loads((model / "assets" / DESCRIPTION).read_text())["members"]
    rewrite_json(model / "assets" / DESCRIPTION, {"members": 2 * members})
    begun = beginning(records, model, WorkDir(tmp_path / "run"))
    with pytest.raises(SettingError, match=r"init_from: expected a model of one run, .* of 2"):
        read_first_weights(begun.settings)
