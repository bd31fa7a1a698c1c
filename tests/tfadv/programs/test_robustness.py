"""Robustness, and what evaluation charges for an empty mask, as a user runs them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfadv import methods
from tfadv.run.run import Run
from tfadv.run.split import HeldOut
from tfadv.run.work_dir import Progress, WorkDir
from tfrecords.reading.record_set import open_record_set

Launch = Callable[..., subprocess.CompletedProcess[str]]


def write_blind_run(folder: Path, method_name: str, records_dir: Path) -> None:
    """A run whose segmentor finds background alone, so that its scores are known."""
    method = methods.get(method_name).configure("small", ["width=2", "convolutions=1"])
    run = Run.new(method, open_record_set(records_dir), HeldOut(("1",), ("1",)))
    model = run.build_model()
    model.segmentor.set_weights([np.zeros_like(w) for w in model.segmentor.get_weights()])
    model.segmentor.get_layer("logits").bias.assign([1.0, 0.0, 0.0])
    work_dir = WorkDir(folder)
    work_dir.begin(run.settings)
    work_dir.save(model, Progress(1, 1, 0.0, [{"epoch": 1, "val_dice": 0.0}]))


@pytest.mark.parametrize("folders", [[], ["one", "two", "one/"]])
def test_different_runs_are_wanted(folders: list[str], tmp_path: Path, launch: Launch) -> None:
    result = launch("robustness", *folders, cwd=tmp_path)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: expected different runs, WORK_DIR [WORK_DIR ...], received")


@pytest.mark.slow
def test_scores_of_blind_runs(
    small_records: tuple[object, Path], tmp_path: Path, launch: Launch
) -> None:
    for name in ("kohl_cross_entropy", "kohl_hybrid"):
        write_blind_run(tmp_path / "runs" / name, name, small_records[1])
    folders = ("runs/kohl_cross_entropy", "runs/kohl_hybrid")
    result = launch("robustness", *folders, "--adversarial_steps=1", "--subjects=1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    first, _, *rows = result.stdout.splitlines()
    assert first.split() == ["kohl_cross_entropy", "kohl_hybrid"]
    assert rows[0].split() == ["clean", "0.00", *(2 * ["0.000", "±", "0.000"])]
    out = Path("comparisons/robustness")
    assert rows[-2:] == [str(out / "robustness.csv"), str(out / "robustness.png")]
    assert (tmp_path / out / "robustness.png").is_file()
    table = pd.read_csv(tmp_path / out / "robustness.csv")
    assert table.groupby(["run", "degradation", "strength"]).ngroups == 32
    assert table["subject"].nunique() == 1
    assert {"adversarial_rms", "adversarial_max"} < set(table["degradation"])
    assert (table["dice"] == 0).all()

    result = launch("evaluate", "--work_dir", folders[0], "--empty_mm=7.5", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"{folders[0]}/boxplots.png" in result.stdout
    assert (pd.read_csv(tmp_path / folders[0] / "metrics.csv")["hausdorff95_mm"] == 7.5).all()
