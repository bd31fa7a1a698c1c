"""Evaluation as a user runs it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tfadv.run.work_dir import WorkDir

Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("value", ["-1", "nan", "inf"])
def test_empty_mm_is_a_distance(value: str, tmp_path: Path, launch: Launch) -> None:
    result = launch("evaluate", "--work_dir=run", f"--empty_mm={value}", cwd=tmp_path)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: flag --empty_mm=")
    assert "finite" in line


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--work_dir=run", "--quality", "--save_predictions"), "--save_predictions: expected"),
        (("--work_dir=run", "--quality", "--empty_mm=3"), "--empty_mm: expected without --quality"),
        (("--model=m", "--records=r", "--folds=,"), "--model: expected --records and --folds"),
        (("--work_dir=run", f"--out_dir={__file__}"), "--out_dir: expected a folder, received the"),
        (("--model=m", "--work_dir=run"), "--work_dir: expected runs, or instead of them --model"),
    ],
)
def test_flags_that_contradict_are_one_line(
    flags: tuple[str, ...], line: str, tmp_path: Path, launch: Launch
) -> None:
    result = launch("evaluate", *flags, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {line}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_tells_the_scores_and_where_they_are(run: WorkDir, tmp_path: Path, launch: Launch) -> None:
    run = WorkDir(Path(shutil.copytree(run.folder, tmp_path / "run")))
    result = launch("evaluate", "--work_dir", run.folder, "--save_predictions")
    assert result.returncode == 0, result.stderr
    assert "dice" in result.stdout
    lines = result.stdout.splitlines()
    assert f"tables: {run.metrics}, {run.subjects}" in lines
    assert f"label maps: {run.predictions}" in lines
    assert f"report: {run.folder / 'report.html'}" in lines
    assert (run.folder / "report.html").is_file()
    assert lines[-1] == f"Next: python launch/export.py --work_dir {run.folder}"
    assert run.metrics.is_file()
