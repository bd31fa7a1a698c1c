"""The table of one trial."""

import math
from pathlib import Path

import pandas as pd
import pytest

from tfadv.evaluation import measures
from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfadv.study.results import run_results
from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet

SETTINGS = Settings("kohl_hybrid", {}, "records", ("2",), ("1",), ("0",), 3, 0.5)


def measured(folder: Path, **columns: list[float]) -> WorkDir:
    """A run tested on the subject NA: every measure is 0.5 in both classes, or as given."""
    work_dir = WorkDir(folder)
    rows = pd.DataFrame({"subject": "NA", "group": "low", "fold": "0"}, index=range(2))
    rows["region"] = ["label_1", "label_2"]
    for name in measures.names():
        rows[name] = columns.get(name, [0.5, 0.5])
    rows.to_csv(work_dir.metrics, index=False)
    return work_dir


def test_the_mean_comes_first_and_leaves_out_what_does_not_exist(
    records: RecordSet, tmp_path: Path
) -> None:
    work_dir = measured(tmp_path, dice=[0.2, 0.4], sensitivity=[0.7, math.nan])
    table = run_results(work_dir, SETTINGS, records.manifest)
    assert list(table["region"]) == ["mean", "label_1", "label_2"]
    assert set(table["subject"]) == {"NA"}
    assert list(table["dice"]) == pytest.approx([0.3, 0.2, 0.4])
    assert list(table["sensitivity"]) == pytest.approx([0.7, 0.7, math.nan], nan_ok=True)


def test_every_row_says_which_trial_it_is_of(records: RecordSet, tmp_path: Path) -> None:
    table = run_results(measured(tmp_path), SETTINGS, records.manifest)
    row = table.iloc[0]
    assert (row["method"], row["seed"], row["fraction"]) == ("kohl_hybrid", 3, 0.5)
    assert (row["fold"], row["best_epoch"]) == ("0", 0)
    positive = [s for s in records.manifest.subjects if (s.fold, s.group) == ("2", "low")]
    assert row["training_subjects"] == math.ceil(len(positive) / 2)


def test_a_table_without_a_measure_is_evaluated_again(records: RecordSet, tmp_path: Path) -> None:
    """As one that was written before the measure was in the table."""
    work_dir = measured(tmp_path)
    table = pd.read_csv(work_dir.metrics)
    table.drop(columns="precision").to_csv(work_dir.metrics, index=False)
    with pytest.raises(UserError, match=r"metrics\.csv: .*precision.* Run python launch/evaluate"):
        run_results(work_dir, SETTINGS, records.manifest)
