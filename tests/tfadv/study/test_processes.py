"""Runs in processes of their own."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from tfadv.study import processes
from tfadv.study.processes import LOG, perform_all

ROOT = Path(__file__).parents[3]
RUNS = [f"seed{seed}" for seed in range(4)]
CHILD = """
import fcntl, sys, time
from tfadv.study.processes import leave_with_parent
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
leave_with_parent()
print("started", flush=True)
time.sleep(600)
"""
STUDY = """
import os, sys
from pathlib import Path
from tfadv.study.processes import perform_all
folder, code = sys.argv[1:]
command = [sys.executable, "-c", code, folder + "/lock"]
perform_all({Path(folder, "run"): command}, [dict(os.environ)], print)
"""


def commands(code: str, folder: Path) -> dict[Path, list[str]]:
    return {folder / name: [sys.executable, "-c", code, name] for name in RUNS}


def devices(count: int) -> list[dict[str, str]]:
    return [{**os.environ, "DEVICE": str(number)} for number in range(count)]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "POLL_S", 0.02)


def test_every_trial_is_performed_on_a_device_and_told(tmp_path: Path) -> None:
    told: list[Path] = []
    code = "import os; print(os.environ['DEVICE'])"
    assert perform_all(commands(code, tmp_path), devices(2), told.append) == {}
    assert sorted(folder.name for folder in told) == RUNS
    logs = {name: (tmp_path / name / LOG).read_text() for name in RUNS}
    assert set(logs.values()) == {"0\n", "1\n"}


def test_a_device_has_one_process_at_a_time(tmp_path: Path) -> None:
    """A run that finds another one's mark on its device fails."""
    code = (
        "import os, pathlib, time\n"
        f"mark = pathlib.Path({str(tmp_path)!r}, os.environ['DEVICE'])\n"
        "mark.touch(exist_ok=False); time.sleep(0.1); mark.unlink()"
    )
    assert perform_all(commands(code, tmp_path), devices(2), lambda folder: None) == {}


def test_a_failure_is_named_and_does_not_stop_the_others(tmp_path: Path) -> None:
    code = "import sys\nif 'seed1' in sys.argv[1]: print('words'); sys.exit('error: too hot')\n"
    told: list[Path] = []
    failures = perform_all(commands(code, tmp_path), devices(1), told.append)
    assert failures == {tmp_path / RUNS[1]: "error: too hot"}
    assert [folder.name for folder in told] == [RUNS[0], *RUNS[2:]]


def test_whatever_ends_the_study_ends_its_processes(tmp_path: Path) -> None:
    """Here the table cannot be written after the first run, while another one would last long."""
    code = "import sys, time\nif 'seed0' not in sys.argv[1]: time.sleep(600)"

    def full(folder: Path) -> None:
        raise OSError("no space left")

    start_s = time.monotonic()
    with pytest.raises(OSError, match="no space left"):
        perform_all(commands(code, tmp_path), devices(2), full)
    assert time.monotonic() - start_s < 60


def wait_until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def is_free(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def test_a_study_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """What its process locks is free as soon as the study is gone."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", STUDY, str(tmp_path), CHILD]
    study = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    log = tmp_path / "run" / LOG
    try:
        wait_until(lambda: log.is_file() and log.read_text() == "started\n")
        with (tmp_path / "lock").open("r+") as lock:
            time.sleep(0.2)
            assert not is_free(lock)
            study.kill()
            wait_until(lambda: is_free(lock))
    finally:
        study.kill()
        study.wait()


def test_a_process_that_no_study_started_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(processes.LIFELINE, raising=False)
    before = threading.active_count()
    processes.leave_with_parent()
    assert threading.active_count() == before
