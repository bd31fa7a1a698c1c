"""The comparison as a user runs it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir

Launch = Callable[..., subprocess.CompletedProcess[str]]


def write_run(folder: Path, method: str, dice: list[float]) -> None:
    work_dir = WorkDir(folder)
    work_dir.begin(Settings(method, {}, "records", ("0",), ("1",), ("2",)))
    table = pd.DataFrame({"subject": ["a", "b", "c"], "fold": "2", "dice": dice, "region": "x"})
    table.to_csv(work_dir.metrics)
    table["mean_dice"], table["components"] = dice, [3, 2, 4]
    table.to_csv(work_dir.subjects)


@pytest.mark.parametrize("folders", [["one"], ["one", "one/"], ["one", "two", "three"]])
def test_two_different_runs_are_wanted(folders: list[str], tmp_path: Path, launch: Launch) -> None:
    result = launch("compare", *folders, cwd=tmp_path)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: expected two different runs, BASELINE_WORK_DIR OTHER_WORK_DIR")


@pytest.mark.slow
def test_compares_two_runs(tmp_path: Path, launch: Launch) -> None:
    write_run(tmp_path / "runs" / "plain", "kohl_cross_entropy", [0.5, 0.6, 0.4])
    write_run(tmp_path / "runs" / "both", "kohl_hybrid", [0.6, 0.75, 0.6])
    result = launch("compare", "runs/plain", "runs/both", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    out = Path("comparisons/plain_vs_both")
    for name in ("comparison.csv", "boxplots.png"):
        assert (tmp_path / out / name).is_file()
        assert f"{out / name}\n" in result.stdout
    first, *_ = result.stdout.splitlines()
    assert first.split()[:2] == ["kohl_cross_entropy", "kohl_hybrid"]
    for name in ("plain", "both"):
        command = f"--work_dir runs/{name} --folds 2 --save_predictions"
        assert f"no pictures.png: runs/{name}/predictions: " in result.stdout
        assert command in result.stdout

    refused = launch("compare", "runs/plain", "runs/nothing", "--out_dir", "here", cwd=tmp_path)
    assert refused.returncode == 1
    assert "expected a run made by launch/train.py" in refused.stderr.splitlines()[-1]
    assert not (tmp_path / "here").exists()
