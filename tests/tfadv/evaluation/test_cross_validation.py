"""Runs of different folds, scored as one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfadv.evaluation import cross_validation
from tfadv.evaluation.cross_validation import evaluate_all
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError

Rewrite = Callable[[Path, dict[str, Any]], None]


@pytest.fixture
def copies(run: WorkDir, other_run: WorkDir, tmp_path: Path) -> list[WorkDir]:
    """Two runs to write to."""
    return [
        WorkDir(shutil.copytree(each.folder, tmp_path / name))
        for name, each in (("fold_2", run), ("fold_0", other_run))
    ]


@pytest.mark.slow
def test_every_subject_is_scored_once_by_the_run_that_tests_it(
    copies: list[WorkDir], tmp_path: Path
) -> None:
    out = WorkDir(tmp_path / "all")
    tables = evaluate_all(copies, out)
    assert tables.subjects["subject"].is_unique
    assert set(tables.subjects["fold"]) == {"0", "2"}
    for name in ("metrics", "subjects"):
        together = pd.read_csv(getattr(out, name), dtype={"fold": str})
        parts = [pd.read_csv(getattr(run, name), dtype={"fold": str}) for run in copies]
        pd.testing.assert_frame_equal(together, pd.concat(parts, ignore_index=True))
    dice = [pd.read_csv(run.subjects)["mean_dice"].mean() for run in copies]
    lines = out.summary.read_text().splitlines()
    assert "mean ± standard deviation of 4 subjects" in lines
    assert lines[-2:] == [
        f"mean Dice by run: fold 2: {dice[0]:.3f}; fold 0: {dice[1]:.3f}",
        f"mean ± standard deviation of 2 runs: {np.mean(dice):.3f} ± {np.std(dice):.3f}",
    ]
    assert out.boxplots.is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"records": "elsewhere"}, "They differ in record set: .*elsewhere"),
        ({"method": "kohl_hybrid"}, "differ in method: kohl_cross_entropy and kohl_hybrid"),
        ({"selected_by": "label_1"}, "differ in selected by: mean and label_1"),
        ({"test_folds": ["2"]}, "every subject to be tested once, received fold 2 several times"),
    ],
)
def test_runs_that_are_no_cross_validation_are_refused(
    changes: dict[str, Any],
    message: str,
    copies: list[WorkDir],
    rewrite_json: Rewrite,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is scored."""
    monkeypatch.setattr(cross_validation, "load_run", lambda _: pytest.fail("loaded"))
    rewrite_json(copies[1].hyperparameters, changes)
    with pytest.raises(UserError, match=message) as error:
        evaluate_all(copies, WorkDir(copies[0].folder))
    assert "\n" not in str(error.value)


def test_other_hyperparameters_are_named(copies: list[WorkDir], rewrite_json: Rewrite) -> None:
    path = copies[1].hyperparameters
    values = json.loads(path.read_text())["hyperparameters"]
    rewrite_json(path, {"hyperparameters": values | {"width": 9}})
    with pytest.raises(UserError, match=r"They differ in width: 16 and 9\. Evaluate each"):
        evaluate_all(copies, WorkDir(copies[0].folder))
