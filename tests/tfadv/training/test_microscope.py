"""The microscope in training: it reads, is saved and resumed, and changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.tfadv.methods.conforming import slow_except
from tests.tfadv.methods.conforming import tiny as tiny_method
from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.methods.method import Method
from tfadv.run.run import Run
from tfadv.run.split import HeldOut
from tfadv.run.work_dir import Progress, WorkDir
from tfadv.training import microscope
from tfadv.training.microscope import Microscope, microscopes, validation_batches
from tfadv.training.train import make_deterministic, train
from tfrecords.reading.record_set import RecordSet

SMALL = ["batch_size=2", "epochs=2", "steps_per_epoch=3", "width=2"]
HYBRID = ["discriminator_width=2", "discriminator_poolings=1", "convolutions=1"]
ADVERSARIAL = "gradients/segmentor_adversarial"
AUC = "verdicts/discriminator/auc"


def tiny(records: RecordSet, *overrides: str, name: str = "kohl_hybrid", **values: Any) -> Run:
    small = [*SMALL, *(HYBRID if name == "kohl_hybrid" else []), *overrides]
    return Run.new(methods.get(name).configure("small", small), records, **values)


def weights(run: Run, work_dir: WorkDir) -> list[np.ndarray]:
    """Networks and optimizers after the last epoch."""
    model = run.build_model()
    work_dir.restore(model)
    optimizers = [v.numpy() for o in model.optimizer_list for v in o.variables]
    return [v.numpy() for n in model.network_list for v in n.weights] + optimizers


@pytest.fixture(scope="module")
def watched(records: RecordSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, WorkDir]:
    """A run of bfloat16 with noise, read at every second of its six steps."""
    run = tiny(records, "precision=mixed_bfloat16", "label_noise=0.5")
    work_dir = WorkDir(tmp_path_factory.mktemp("watched"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(microscope, "EVERY", 2)
        make_deterministic()
        train(work_dir, run)
    return run, work_dir


@pytest.mark.slow
def test_weights_are_those_of_training_without_it(
    watched: tuple[Run, WorkDir], tmp_path: Path
) -> None:
    run, seen = watched
    make_deterministic()
    train(WorkDir(tmp_path), run)
    assert not WorkDir(tmp_path).progress().readings
    assert WorkDir(tmp_path).progress().history == seen.progress().history
    for one, other in zip(weights(run, WorkDir(tmp_path)), weights(run, seen), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_readings_are_in_the_table_and_in_tensorboard(watched: tuple[Run, WorkDir]) -> None:
    _, work_dir = watched
    table = pd.read_csv(work_dir.folder / "gradients.csv")
    assert table["step"].tolist() == [2, 4, 6]
    assert np.isfinite(table.to_numpy(float)).all()
    assert (table[f"{ADVERSARIAL}/norm"] > 0).all()
    assert table[[AUC, f"{ADVERSARIAL}/towards_truth"]].stack().between(0, 1).all()
    assert table[f"{ADVERSARIAL}/cosine"].between(-1, 1).all()
    np.testing.assert_allclose(table["gradients/segmentor_cross_entropy/map_cosine"], 1, rtol=1e-5)
    logged = EventAccumulator(str(work_dir.tensorboard / "validation")).Reload()
    for name in table.columns.drop("step"):
        events = logged.Tensors(name)
        assert [event.step for event in events] == [2, 4, 6]
        values = [float(tf.make_ndarray(event.tensor_proto)) for event in events]
        np.testing.assert_allclose(values, table[name], rtol=1e-6)
    for kind in ("true", "generated"):
        events = logged.Tensors(f"verdicts/discriminator/{kind}")
        assert [event.step for event in events] == [2, 4, 6]
        assert tf.make_ndarray(events[0].tensor_proto)[:, 2].sum() == 8  # 4 minibatches of 2.


@pytest.mark.slow
@pytest.mark.variants  # Resumed runs are compared without it.
def test_a_resumed_run_reads_the_same(
    watched: tuple[Run, WorkDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, whole = watched
    monkeypatch.setattr(microscope, "EVERY", 2)
    make_deterministic()
    first = Run.new(replace(run.method, epochs=1), run.records)
    train(WorkDir(tmp_path), first)
    train(WorkDir(tmp_path), run)
    texts = [(d / "gradients.csv").read_text() for d in (tmp_path, whole.folder)]
    assert texts[0] == texts[1]


def read(run: Run, model: AdversarialModel | None = None) -> dict[str, float]:
    """A reading of a model, by default a fresh one, which stays as it is.

    Without graphs, whose tracing takes many times as long.
    """
    model = model or run.build_model()
    made = Microscope(run, Progress())
    made.set_model(model)
    made.gradients = made.gradients.python_function
    made.judgements = made.judgements.python_function
    before = [v.numpy() for n in model.network_list for v in n.variables]
    found = made.read()
    after = [v.numpy() for n in model.network_list for v in n.variables]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    return found


@pytest.mark.parametrize(
    "signal", ["frozen", "off", pytest.param("shuffled", marks=pytest.mark.slow)]
)
def test_a_frozen_judge_is_asked_and_an_absent_one_is_not(signal: str, records: RecordSet) -> None:
    found = read(tiny(records, f"signal={signal}"))
    assert (AUC in found) == (f"{ADVERSARIAL}/norm" in found) == (signal != "off")
    assert np.isfinite(list(found.values())).all()


@pytest.mark.slow
def test_replicas_do_not_matter(records: RecordSet, mirrored: tf.distribute.Strategy) -> None:
    run = tiny(records, "precision=float32")
    found = []
    for strategy in (tf.distribute.get_strategy(), mirrored):
        keras.utils.set_random_seed(3)  # Both models begin with the same weights.
        found.append(read(run, run.build_model(strategy)))
    assert found[0] == pytest.approx(found[1], rel=1e-4, abs=1e-5)


@slow_except(())
def test_every_method_is_read(method: type[Method], records_of: Callable[[str], RecordSet]) -> None:
    run = Run.new(tiny_method(method), records_of(method.view.kind))
    found = read(run)
    terms = {term.name for u in run.build_players().schedule for term in u.terms}
    norms = {name.split("/")[1] for name in found if name.endswith("/norm")}
    assert norms
    assert norms <= terms
    assert all(np.isfinite(v) for name, v in found.items() if name.endswith(("norm", "auc")))


def test_images_of_subjects_left_out_are_read_beside_those_of_validation(
    records: RecordSet,
) -> None:
    run = tiny(
        records,
        "unlabelled=true",
        held_out=HeldOut(("2",), ("2",)),
        positive_fraction=0.4,
        unlabelled_subjects=1,
    )
    batches = validation_batches(run)
    assert {batch["unlabelled"].shape for batch in batches} == {batches[0]["image"].shape}
    # One volume of six slices, and mirrored, turned and shifted ones of it.
    assert len({batch["unlabelled"].numpy().tobytes() for batch in batches}) > 1


def test_short_runs_and_finished_ones_have_none(
    records: RecordSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microscope, "Microscope", lambda run, progress: None)
    steps = {"epochs": 4, "steps_per_epoch": 50}
    run = tiny(records, *(f"{name}={value}" for name, value in steps.items()))
    history = [{"epoch": epoch + 1} for epoch in range(4)]
    found = {
        done: len(list(microscopes(run, Progress(done, min(done, 1), history=history[:done]))))
        for done in range(5)
    }
    assert found == {0: 1, 1: 1, 2: 1, 3: 1, 4: 0}
    assert not list(microscopes(tiny(records), Progress()))


def test_folds_without_examples_are_told_of(
    records: RecordSet, caplog: pytest.LogCaptureFixture
) -> None:
    run = tiny(records, "steps_per_epoch=100")
    shards = tuple(
        replace(s, examples=0) if s.kind == "slices" and s.fold == "1" else s
        for s in run.manifest.shards
    )
    emptied = replace(run.records, manifest=replace(run.manifest, shards=shards))
    assert not list(microscopes(replace(run, records=emptied), Progress()))
    assert "no gradients are read: the validation folds 1 hold no" in caplog.text
