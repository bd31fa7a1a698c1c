"""A measure more is one entry more in the table of measures: it comes everywhere by itself."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfadv.evaluation import boxplots, measures
from tfadv.evaluation.criterion import Criterion
from tfadv.evaluation.evaluate import describe, evaluate
from tfadv.evaluation.measures import MEASURES, Measure
from tfadv.inference.targets import Targets
from tfadv.run.work_dir import Progress, WorkDir
from tfadv.study import drawings, figures, statistics, words
from tfadv.study.material import Material
from tfadv.study.plan import Line, Study
from tfadv.training.callbacks import Validation
from tfadv.training.tensorboard import TensorBoard
from tfrecords.reading.record_set import RecordSet

# Of one voxel missed in a hundred it is 0.01.
MISSED = Measure(
    "missed_share",
    "share missed",
    lambda masks: 1 - masks.in_both / max(1, masks.in_reference),
    digits=2,
    better="lower",
    panel=5,
    reported=True,
    tested=True,
    by_amount=True,
)


class Everywhere:
    """A predictor that finds label 1 in every voxel of the body's box."""

    targets = Targets(("background", "label_1", "label_2"), ((0,), (1,), (2,)), True, 3)

    def predict(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        label = tf.ones(image.shape[:3], tf.uint8)
        return {"label": label, "probabilities": tf.one_hot(label, 3)}


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Measure:
    monkeypatch.setattr(measures, "MEASURES", (*MEASURES, MISSED))
    return MISSED


def noted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[Any]:
    """What a figure is asked to show, instead of drawing it."""
    asked: list[Any] = []
    monkeypatch.setattr(module, name, lambda *arguments: asked.append(arguments) or b"png")
    return asked


def test_it_is_in_a_runs_table_summary_and_boxplots(
    added: Measure, records: RecordSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = noted(monkeypatch, boxplots, "of_one_run")
    tables = evaluate(WorkDir(tmp_path), Everywhere(), records, ("0",))  # type: ignore[arg-type]
    read = pd.read_csv(tmp_path / "metrics.csv")
    assert list(read.columns)[-1] == added.name
    assert list(read.columns)[-3:-1] == ["brier", "calibration_error"]
    assert set(read.loc[read["region"] == "label_1", added.name]) == {0.0}
    assert set(read.loc[read["region"] == "label_2", added.name]) == {1.0}
    assert f"{added.name} 0.000 ± 0.000 1.000 ± 0.000" in [
        " ".join(line.split()) for line in describe(tables).splitlines()
    ]
    ((panels,),) = asked
    assert list(panels)[-1] is added


def test_it_chooses_the_epoch_and_has_its_curve(
    added: Measure, records: RecordSet, tmp_path: Path
) -> None:
    criterion = Criterion.parse(f"{added.name}:label_2", records.manifest)
    validation = Validation(Everywhere(), records, ("1",), criterion)  # type: ignore[arg-type]
    logs: dict[str, float] = {}
    validation.on_epoch_end(0, logs)
    assert logs[criterion.key] == 1.0
    assert criterion.improves(0.4, best=0.5)
    assert logs["val_missed_share"] == 0.5
    assert logs["val_missed_share_label_1"] == 0.0
    run: Any = SimpleNamespace(settings=None, method=None)
    callback = TensorBoard(WorkDir(tmp_path), run, validation, Progress())
    model: Any = SimpleNamespace(players=SimpleNamespace(schedule=[]), trackers={})
    callback.set_model(model)
    callback.on_epoch_end(0, logs)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "validation")).Reload()
    for tag, value in (("missed_share/mean", 0.5), ("missed_share/label_2", 1.0)):
        (event,) = events.Tensors(tag)
        assert tf.make_ndarray(event.tensor_proto) == value


def test_it_is_computed_every_epoch_where_flagged(
    records: RecordSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs: dict[str, float] = {}
    monkeypatch.setattr(measures, "MEASURES", (*MEASURES, MISSED))
    Validation(Everywhere(), records, ("1",)).on_epoch_end(0, logs)  # type: ignore[arg-type]
    assert set(logs) == {"val_dice", "val_dice_label_1", "val_dice_label_2"}
    monkeypatch.setattr(measures, "MEASURES", (*MEASURES, replace(MISSED, every_epoch=True)))
    Validation(Everywhere(), records, ("1",)).on_epoch_end(0, logs)  # type: ignore[arg-type]
    assert logs["val_missed_share"] == 0.5


@pytest.mark.slow
def test_it_is_in_a_studys_tables_tests_and_figures(
    added: Measure, records: RecordSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten subjects: of the second line's half as much is missed."""
    lines = {"old": Line("kohl_cross_entropy"), "new": Line("kohl_hybrid")}
    study = Study("x", records.folder, lines, fractions=(1.0, 0.5))
    random = np.random.default_rng(0)
    rows = [
        {"line": line, "seed": 0, "fraction": fraction, "fold": "0", "subject": f"s{n}"}
        | {"region": "mean", "training_subjects": 4, "best_epoch": 1}
        | dict.fromkeys(measures.names(), 0.5)
        | {added.name: missed + random.uniform(0, 0.004)}
        for line, missed in (("old", 0.4), ("new", 0.2))
        for fraction in study.fractions
        for n in range(10)
    ]
    results = pd.DataFrame(rows)
    tests = statistics.compare_lines(results, list(lines))
    material = Material(study, tmp_path, records, results, tests)
    place = words.score_titles().index(added.title)
    assert [row[place] for row in words.scores(material, "mean")][1] == "0.20 ± 0.00"
    row = next(row for row in words.tests(material, "mean") if row[0] == added.title)
    assert row[-1] == "new"
    foremost, _ = words.findings(material)
    assert any(said.startswith(f"mean, {added.title}, 100 %: new is bet") for said in foremost)
    assert f"lower is better for 95 % Hausdorff distance (mm), {added.title}." in words.directions()
    of_regions = noted(monkeypatch, figures, "by_region")
    of_amounts = noted(monkeypatch, figures, "by_amount")
    drawings._by_region(material)
    drawings._by_amount(material)
    assert of_regions[0][2][-1] is added
    assert of_amounts[0][3][-1] is added
    assert added.name in set(of_amounts[0][1]["measure"])
