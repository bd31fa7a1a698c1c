"""The table of a run."""

import numpy as np
import pandas as pd

from tfadv import evaluation
from tfadv.metrics import METRICS
from tfadv.training import load_run
from tfadv.validation import dice, scored_regions, segment
from tfadv.work_dir import WorkDir


def test_a_row_per_subject_and_region(run: WorkDir) -> None:
    settings, records, _, predictor = load_run(run)
    table = evaluation.evaluate(run, predictor, records, settings.test_folds)
    pd.testing.assert_frame_equal(table, pd.read_csv(run.metrics, dtype={"fold": str}))
    subjects = {s.name for s in records.manifest.subjects if s.fold in settings.test_folds}
    assert set(table["subject"]) == subjects
    assert list(table.groupby("subject").size()) == [2, 2]
    assert list(table.columns) == ["subject", "group", "fold", "region", *METRICS]
    for segmented in segment(predictor, records, settings.test_folds):
        row = table[
            (table["subject"] == segmented.volume.subject) & (table["region"] == "label_2")
        ].iloc[0]
        expected = dice(segmented.volume.label == 2, segmented.prediction == 2)
        assert row["dice"] == expected
        assert row["reference_volume_ml"] == (segmented.volume.label == 2).sum() / 1000
    assert run.picture.read_bytes().startswith(b"\x89PNG")


def test_a_trained_run_segments(run: WorkDir) -> None:
    """On separable data forty steps are enough: training, validation and scoring fit together."""
    settings, records, _, predictor = load_run(run)
    table = evaluation.evaluate(run, predictor, records, settings.test_folds)
    assert table["dice"].mean() > 0.8
    assert "dice" in run.summary.read_text()


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
