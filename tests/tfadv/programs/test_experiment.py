"""A study as a user runs it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Launch = Callable[..., subprocess.CompletedProcess[str]]
STUDY = """
title = "Two lines"
records = "{records}"
preset = "small"
hp = {{epochs = 1, steps_per_epoch = 2, width = 2, convolutions = 1, batch_size = 2}}
[lines.plain]
method = "kohl_cross_entropy"
[lines.turned]
method = "kohl_cross_entropy"
hp = {{rotation_rad = 0.1}}
[[splits]]
validation = ["1"]
test = ["2"]
"""


@pytest.mark.slow
def test_a_study_goes_on_past_a_failure_and_is_repeated(
    small_records: tuple[object, Path], tmp_path: Path, launch: Launch
) -> None:
    study = tmp_path / "two.toml"
    study.write_text(STUDY.format(records=small_records[1]))
    folder = tmp_path / "out"
    # A file where the second run wants a folder.
    obstacle = folder / "runs" / "turned-test2-seed0-fraction1" / "checkpoints"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    first = launch("experiment", study, "--out_dir", folder, "--jobs", 2)
    assert first.returncode == 1
    assert "error: 1 runs failed" in first.stderr
    assert "turned-test2-seed0-fraction1: error: " in first.stderr
    assert "Traceback" not in first.stderr
    obstacle.unlink()
    second = launch("experiment", study, "--out_dir", folder)
    assert second.returncode == 0, second.stderr
    assert "Two lines: 1 of 2 runs are finished" in second.stdout
    assert f"report: {folder / 'report.html'}" in second.stdout
    results = pd.read_csv(folder / "results.csv")
    assert set(results["line"]) == {"plain", "turned"}
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")
