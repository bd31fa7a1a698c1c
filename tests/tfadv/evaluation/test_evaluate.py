"""The table of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import ndimage

from tfadv.evaluation import evaluate, measures
from tfadv.evaluation.scoring import segment
from tfadv.inference.targets import Targets, scored_regions
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir
from tfrecords.geometry.overlap import dice
from tfrecords.reading.record_set import RecordSet, open_record_set


class Nowhere:
    """A predictor that finds background alone."""

    targets = Targets(("background", "label_1", "label_2"), ((0,), (1,), (2,)), True, 3)

    def predict(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        label = tf.zeros(image.shape[:3], tf.uint8)
        return {"label": label, "probabilities": tf.one_hot(label, 3)}


class Everywhere:
    """A predictor that finds label 1 in every voxel of the body's box."""

    targets = Targets(("background", "label_1", "label_2"), ((0,), (1,), (2,)), True, 3)

    def predict(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        label = tf.ones(image.shape[:3], tf.uint8)
        return {"label": label, "probabilities": tf.one_hot(label, 3)}


def components(labels: np.ndarray) -> int:
    """Counted by SciPy, one class after another."""
    found = (ndimage.label(labels == value, np.ones((3, 3, 3)))[1] for value in np.unique(labels))
    return sum(found)


@pytest.mark.slow
def test_a_row_per_subject_and_region(run: WorkDir) -> None:
    trained, _, predictor = load_run(run)
    settings, records = trained.settings, trained.records
    tables = evaluate.evaluate(run, predictor, records, settings.test_folds)
    for table, path in ((tables.regions, run.metrics), (tables.subjects, run.subjects)):
        pd.testing.assert_frame_equal(table, pd.read_csv(path, dtype={"fold": str}))
    table = tables.regions
    subjects = {s.name for s in records.manifest.subjects if s.fold in settings.test_folds}
    assert set(table["subject"]) == subjects
    assert list(table.groupby("subject").size()) == [2, 2]
    assert list(table.columns) == ["subject", "group", "fold", "region", *measures.names()]
    for segmented in segment(predictor, records, settings.test_folds):
        row = table[
            (table["subject"] == segmented.volume.subject) & (table["region"] == "label_2")
        ].iloc[0]
        expected = dice(segmented.volume.label == 2, segmented.prediction == 2)
        assert row["dice"] == expected
        assert row["reference_volume_ml"] == (segmented.volume.label == 2).sum() / 1000
        assert segmented.maps is None  # Nobody asked.
    for segmented in segment(predictor, records, settings.test_folds, with_maps=True):
        probabilities = predictor.predict(segmented.volume.image.astype(np.float32))[
            "probabilities"
        ]
        squares = np.square(probabilities[..., 2] - (segmented.volume.label == 2))
        row = table.set_index(["subject", "region"]).loc[(segmented.volume.subject, "label_2")]
        assert row["brier"] == pytest.approx(squares.mean(), rel=1e-5)
        assert 0 < row["brier"] < row["calibration_error"] < 1
    for path in (run.picture, run.boxplots):
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_trained_run_segments(run: WorkDir) -> None:
    """On separable data forty steps are enough: training, validation and scoring fit together."""
    trained, _, predictor = load_run(run)
    settings, records = trained.settings, trained.records
    tables = evaluate.evaluate(run, predictor, records, settings.test_folds)
    assert tables.regions["dice"].mean() > 0.8
    assert run.summary.read_text() == evaluate.describe(tables)


@pytest.mark.slow
def test_a_row_per_subject(run: WorkDir, tmp_path: Path) -> None:
    """On the validation folds the mean Dice is what the best epoch was selected by."""
    trained, _, predictor = load_run(run)
    settings, records = trained.settings, trained.records
    folds = settings.validation_folds
    subjects = evaluate.evaluate(WorkDir(tmp_path), predictor, records, folds).subjects
    assert list(subjects.columns[:3]) == ["subject", "group", "fold"]
    assert subjects["mean_dice"].mean() == pytest.approx(run.progress().best)
    rows = subjects.set_index("subject")
    for segmented in segment(predictor, records, folds):
        row = rows.loc[segmented.volume.subject]
        assert row["components"] == components(segmented.prediction)
        assert row["reference_components"] == components(segmented.volume.label)


@pytest.fixture
def small(small_records: tuple[object, Path]) -> RecordSet:
    """Its bodies do not fill the working grid."""
    return open_record_set(small_records[1])


def test_components_are_those_of_the_whole_grid(
    small: RecordSet, small_records: tuple[Any, Path], tmp_path: Path
) -> None:
    """The box of label 1 has the background around it; the file has the whole reference."""
    tables = evaluate.evaluate(WorkDir(tmp_path), Everywhere(), small, ("0",))  # type: ignore[arg-type]
    for _, row in tables.subjects.iterrows():
        assert row["components"] == 2
        label = small_records[0].array(row["subject"], "label")
        assert row["reference_components"] == components(label)


@pytest.mark.slow
def test_mean_dice_is_over_regions_where_there_are_any(small: RecordSet, tmp_path: Path) -> None:
    both = {"both": ("label_1", "label_2")}
    with_region = RecordSet(small.folder, replace(small.manifest, regions=both))
    for records, averaged in ((small, ["label_1", "label_2"]), (with_region, ["both"])):
        tables = evaluate.evaluate(WorkDir(tmp_path), Everywhere(), records, ("0",))  # type: ignore[arg-type]
        by_region = tables.regions.pivot(index="subject", columns="region", values="dice")
        expected = by_region[averaged].mean(axis=1)
        found = tables.subjects.set_index("subject")["mean_dice"]
        np.testing.assert_allclose(found, expected[found.index])
        assert found.min() > 0


def test_empty_mm_is_charged_for_what_is_missed(small: RecordSet, tmp_path: Path) -> None:
    tables = evaluate.evaluate(
        WorkDir(tmp_path),
        Nowhere(),  # type: ignore[arg-type]
        small,
        ("0",),
        empty_mm=373.13,
    )
    assert (tables.regions["hausdorff95_mm"] == 373.13).all()
    assert (tables.regions["average_surface_distance_mm"] == 373.13).all()


def test_box_plots_are_of_the_papers_four_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}

    def draw(scores: dict[Any, Any]) -> bytes:
        drawn.update({measure.title: found for measure, found in scores.items()})
        return b""

    monkeypatch.setattr(evaluate.boxplots, "of_one_run", draw)
    names = measures.names()
    columns = {name: np.arange(4) + 10.0 * place for place, name in enumerate(names)}
    regions = pd.DataFrame({"subject": list("aabb"), "region": list("zaza"), **columns})
    evaluate._boxplots(evaluate.Tables(regions, pd.DataFrame()))
    assert list(drawn)[1] == "95 % Hausdorff distance (mm)"
    for title, name in (
        ("Dice", "dice"),
        ("95 % Hausdorff distance (mm)", "hausdorff95_mm"),
        ("sensitivity", "sensitivity"),
        ("specificity", "specificity"),
    ):
        place = 10 * names.index(name)
        found = {region: list(values) for region, values in drawn.pop(title).items()}
        assert found == {"z": [place, place + 2], "a": [place + 1, place + 3]}
    assert not drawn


def test_the_summary_has_means_over_subjects() -> None:
    columns = {name: [0.5, 0.7] for name in measures.names()}
    regions = pd.DataFrame({"subject": ["a", "b"], "region": "x", **columns})
    subjects = pd.DataFrame(
        {"mean_dice": [0.4, 0.6], "components": [10, 13], "reference_components": [4, 4]}
    )
    lines = evaluate.describe(evaluate.Tables(regions, subjects)).splitlines()
    assert lines[1].split() == ["dice", "0.600", "±", "0.100"]
    assert lines[-3:] == [
        "mean Dice: 0.500 ± 0.100",
        "components of all classes and the background: 11.5 ± 1.5; reference: 4.0 ± 0.0",
        "mean ± standard deviation of 2 subjects",
    ]


def test_regions_are_scored_beside_classes() -> None:
    class Manifest:
        classes = tuple(type("C", (), {"name": name})() for name in ("background", "a", "b"))
        regions = {"both": ("a", "b")}  # noqa: RUF012

        def class_index(self, name: str) -> int:
            return [c.name for c in self.classes].index(name)

    assert scored_regions(Manifest()) == {"a": (1,), "b": (2,), "both": (1, 2)}  # type: ignore[arg-type]


def test_dice_of_nothing_is_one() -> None:
    nothing = np.zeros((2, 2), bool)
    assert dice(nothing, nothing) == 1.0
    assert dice(nothing, ~nothing) == 0.0
