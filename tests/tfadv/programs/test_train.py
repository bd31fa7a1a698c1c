"""Training as a user runs it, killed and resumed."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.tfadv.checkpoints import last_checkpoint
from tfadv.run.work_dir import WorkDir

Small = tuple[object, Path]
Launch = Callable[..., subprocess.CompletedProcess[str]]


TRACKER = """
class Tracker:
    def __init__(self, settings):
        self.file = open("told.txt", "w")
        print(settings["method"], settings["width"], file=self.file)

    def log(self, step, values):
        for name in values:
            print(step, name, file=self.file)

    def finish(self):
        print("finished", file=self.file)
        self.file.close()


start = Tracker
"""


TWO = '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}'


def training(records: Path, work_dir: Path, *more: object) -> list[object]:
    return [
        *("--method", "kohl_purely_adversarial", "--preset", "small", "--deterministic"),
        *("--records", records, "--work_dir", work_dir, "--epochs", 3, "--steps_per_epoch", 4),
        *("--hp.batch_size=2", "--hp.width=4", "--hp.discriminator_width=4", *more),
    ]


@pytest.mark.slow
@pytest.mark.variants  # Two minutes; its parts have tests of their own.
def test_all_folds_go_on_after_a_kill_are_scored_once_and_become_a_model(
    small_records: Small, tmp_path: Path, command: Callable[..., list[str]], launch: Launch
) -> None:
    records, folder, model = small_records[1], tmp_path / "all", tmp_path / "model"
    small = [
        *("--method", "kohl_cross_entropy", "--preset", "small", "--records", records),
        *("--work_dir", folder, "--epochs", 1, "--steps_per_epoch", 2, "--all_folds"),
        *("--hp.batch_size=2", "--hp.width=4", "--hp.convolutions=1"),
    ]
    process = subprocess.Popen(
        command("train", *small), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    finished = folder / "fold_0" / "progress.json"
    deadline_s = time.monotonic() + 300
    while not (finished.is_file() and (folder / "fold_1" / "log.txt").is_file()):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = finished.stat().st_mtime_ns
    resumed = launch("train", *small)
    assert resumed.returncode == 0, resumed.stderr
    assert f"{folder}: 1 of 3 runs are finished" in resumed.stdout
    assert finished.stat().st_mtime_ns == before
    settings = {k: WorkDir(folder / f"fold_{k}").settings() for k in "012"}
    assert {k: (s.validation_folds, s.test_folds) for k, s in settings.items()} == {
        "0": (("1",), ("0",)),
        "1": (("2",), ("1",)),
        "2": (("0",), ("2",)),
    }

    scored = launch("evaluate", "--work_dir", folder)
    assert scored.returncode == 0, scored.stderr
    assert f"Next: python launch/export.py --work_dir {folder}" in scored.stdout
    subjects = pd.read_csv(folder / "subjects.csv")
    assert sorted(subjects["subject"]) == [f"s{number}" for number in range(6)]
    assert "of 3 runs: " in (folder / "summary.txt").read_text()

    exported = launch("export", "--work_dir", folder, "--out_dir", model, "--largest_component")
    assert exported.returncode == 0, exported.stderr
    assert f"model: {model / '1'}, of 3 runs" in exported.stdout
    assert "of 6 validation subjects" in exported.stdout
    refused = launch("evaluate", "--model", model, "--records", records, "--folds", 0)
    assert refused.returncode == 1
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith(f"error: {model / '1'}: expected folds of which no subject trained it")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "flag", "line"),
    [
        ({}, "--nodes=slurm", "--nodes: expected SLURM's variables, as srun sets them; SLURM_JOB_"),
        (
            {"TF_CONFIG": "{}"},
            "--preset=small",
            "TF_CONFIG: expected workers as host:port, each once,",
        ),
        ({"TF_CONFIG": TWO}, "--all_folds", "--all_folds: expected one run, which several nodes"),
        ({"TF_CONFIG": TWO}, "--preset=auto", "--preset: expected paper, small or a plan"),
    ],
)
def test_what_several_nodes_cannot_do_is_one_line(
    variables: dict[str, str],
    flag: str,
    line: str,
    small_records: Small,
    tmp_path: Path,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    given = ("--records", small_records[1], "--work_dir", tmp_path / "run", flag)
    refused = launch("train", "--method", "kohl_hybrid", *given)
    assert refused.returncode == 1
    (said,) = refused.stderr.splitlines()
    assert said.startswith(f"error: {line}")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.variants  # The campaign kills trainings, too.
def test_killed_training_ends_with_the_same_weights(
    small_records: Small, tmp_path: Path, command: Callable[..., list[str]], launch: Launch
) -> None:
    """SIGKILL after the first epoch, at whatever moment. The other run tells a tracker."""
    records = small_records[1]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    (tmp_path / "my_tracker.py").write_text(TRACKER)
    flags = (*training(records, whole), "--tracker=my_tracker:start")
    done = launch("train", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Next: python launch/evaluate.py --work_dir {whole}" in done.stdout
    # What would move in a terminal is a line for each epoch in a log.
    assert not {"\b", "\r", "\x1b"} & set(done.stdout)
    assert len(re.findall(r"^epoch \d of 3, ", done.stdout, re.MULTILINE)) == 3
    settings, *told, last = (tmp_path / "told.txt").read_text().splitlines()
    assert settings == "kohl_purely_adversarial 4"
    assert {"4 discriminator/true", "12 segmentor/adversarial", "12 dice/mean"} <= set(told)
    assert last == "finished"
    process = subprocess.Popen(
        command("train", *training(records, killed)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline_s = time.monotonic() + 300
    while not (killed / "progress.json").is_file() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (killed / "progress.json").is_file()
    resumed = launch("train", *training(records, killed))
    assert resumed.returncode == 0, resumed.stderr
    one, two = last_checkpoint(whole), last_checkpoint(killed)
    assert one.keys() == two.keys()
    assert any("optimizer" in name for name in one)
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)
    assert (whole / "history.csv").read_text() == (killed / "history.csv").read_text()
