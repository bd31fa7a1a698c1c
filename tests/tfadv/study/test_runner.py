"""Performing runs in processes of their own."""

import fcntl
import os
import sys
import time
from pathlib import Path

import pytest

from tfadv.run.work_dir import WorkDir
from tfadv.study import runner
from tfadv.study.plan import Folds, Line, Run, Study
from tfadv.study.runner import LOG, perform, perform_all, run_folder
from tfrecords.errors import UserError

RUNS = [Run("a", Folds(("1",), ("0",)), seed, 1.0) for seed in range(4)]


def commands(code: str, runs: list[Run] = RUNS) -> dict[Run, list[str]]:
    return {run: [sys.executable, "-c", code, run.name] for run in runs}


def devices(count: int) -> list[dict[str, str]]:
    return [{**os.environ, "DEVICE": str(number)} for number in range(count)]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_S", 0.02)


@pytest.mark.parametrize(
    ("visible", "jobs", "expected"),
    [
        (None, None, ["0", "1"]),
        ("3,5", None, ["3", "5"]),
        ("3,5", 1, ["3"]),
        (None, 3, ["0", "1", "0"]),
    ],
)
def test_each_run_has_a_gpu(
    visible: str | None, jobs: int | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.tf.config, "list_physical_devices", lambda kind: [kind] * 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = runner.environments(jobs)
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in found] == expected
    assert all(environment["PATH"] == os.environ["PATH"] for environment in found)


@pytest.mark.parametrize(("jobs", "threads"), [(None, "8"), (2, "4"), (3, "2"), (20, "1")])
def test_without_gpus_runs_share_the_cores(
    jobs: int | None, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    found = runner.environments(jobs)
    assert len(found) == (jobs or 1)
    assert {environment["TF_NUM_INTRAOP_THREADS"] for environment in found} == {threads}


def test_every_run_is_performed_on_a_device_and_told(tmp_path: Path) -> None:
    told: list[Run] = []
    code = "import os; print(os.environ['DEVICE'])"
    assert perform_all(commands(code), tmp_path, devices(2), told.append) == {}
    assert sorted(told, key=lambda run: run.seed) == RUNS
    logs = {run: (run_folder(tmp_path, run) / LOG).read_text() for run in RUNS}
    assert set(logs.values()) == {"0\n", "1\n"}


def test_a_device_has_one_run_at_a_time(tmp_path: Path) -> None:
    """A run that finds another one's mark on its device fails."""
    code = (
        "import os, pathlib, time\n"
        f"mark = pathlib.Path({str(tmp_path)!r}, os.environ['DEVICE'])\n"
        "mark.touch(exist_ok=False); time.sleep(0.1); mark.unlink()"
    )
    assert perform_all(commands(code), tmp_path, devices(2), lambda run: None) == {}


def test_a_failure_is_named_and_does_not_stop_the_others(tmp_path: Path) -> None:
    code = "import sys\nif 'seed1' in sys.argv[1]: print('words'); sys.exit('error: too hot')\n"
    told: list[Run] = []
    failures = perform_all(commands(code), tmp_path, devices(1), told.append)
    assert failures == {RUNS[1]: "error: too hot"}
    assert [run.seed for run in told] == [0, 2, 3]


def test_whatever_ends_the_study_ends_its_runs(tmp_path: Path) -> None:
    """Here the table cannot be written after the first run, while another one would last long."""
    code = "import sys, time\nif 'seed0' not in sys.argv[1]: time.sleep(600)"

    def full(run: Run) -> None:
        raise OSError("no space left")

    start_s = time.monotonic()
    with pytest.raises(OSError, match="no space left"):
        perform_all(commands(code), tmp_path, devices(2), full)
    assert time.monotonic() - start_s < 60


def test_a_run_is_not_performed_twice_at_once(tmp_path: Path) -> None:
    study = Study("x", tmp_path, {"a": Line("kohl_hybrid")})
    folder = run_folder(tmp_path, RUNS[0])
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process performs this run"):
            perform(study, RUNS[0], tmp_path)
    assert not WorkDir(folder).checkpoints.exists()


def test_a_longer_training_that_is_killed_leaves_no_old_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture, written last, says that a run is evaluated: see `is_finished`."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "open_record_set", lambda folder: None)
    monkeypatch.setattr(runner, "run_settings", lambda *_: None)
    monkeypatch.setattr(runner.train, "train", killed)
    work_dir = WorkDir(run_folder(tmp_path, RUNS[0]))
    work_dir.folder.mkdir(parents=True)
    work_dir.picture.touch()
    with pytest.raises(KeyboardInterrupt):
        perform(Study("x", tmp_path, {"a": Line("kohl_hybrid")}), RUNS[0], tmp_path)
    assert not work_dir.picture.exists()
