"""Runs of a study on a Dask scheduler's workers."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from tests.tfrecords.test_cluster import Started
from tfadv.study.cluster import perform_on
from tfrecords.cluster import connected

NOTES = "import sys, time; print(time.time()); time.sleep(float(sys.argv[1])); print(time.time())"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    (tmp_path / "dask").mkdir()
    found = Started(tmp_path / "dask")
    yield found
    found.end()


def commands(folder: Path, number: int) -> dict[Path, list[str]]:
    return {folder / f"run{n}": ["python", "-c", NOTES, "0.5"] for n in range(number)}


def spans(folders: list[Path]) -> list[tuple[float, float]]:
    """When each run began and ended."""
    lines = [(folder / "log.txt").read_text().split() for folder in folders]
    return sorted((float(first), float(last)) for first, last in lines)


def wait_for(found: Callable[[], int | bool | None]) -> int | bool:
    """What a function gives once it gives anything but None, and no error of a missing file."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(OSError, ValueError):
            if (value := found()) is not None:
                return value
        time.sleep(0.1)
    raise TimeoutError


@pytest.mark.slow
def test_a_gpu_has_one_run_at_a_time(started: Started, tmp_path: Path) -> None:
    # One of the two workers has a GPU, or says so.
    started.workers(1)
    started.workers(1, "--resources", "GPU=1")
    runs = commands(tmp_path, 3)
    runs[tmp_path / "failing"] = ["python", "-c", "import sys; sys.exit('no such thing')"]
    finished: list[Path] = []
    with connected(started.address) as cluster:
        failures = perform_on(cluster, runs, finished.append)
    assert failures == {tmp_path / "failing": "no such thing"}
    assert sorted(finished) == sorted(commands(tmp_path, 3))
    ends_and_begins = spans(finished)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ends_and_begins))


@pytest.mark.slow
def test_a_run_ends_with_its_driver(started: Started, tmp_path: Path) -> None:
    started.workers(1)
    marker = tmp_path / "run" / "log.txt"
    program = (
        "import pathlib, sys\n"
        "from tfrecords.cluster import connected\n"
        "from tfadv.study.cluster import perform_on\n"
        "with connected(sys.argv[1]) as cluster:\n"
        "    perform_on(cluster, {pathlib.Path(sys.argv[2]): ['python', '-c',"
        " 'import os, time; print(os.getpid(), flush=True); time.sleep(300)']}, print)\n"
    )
    command = [sys.executable, "-c", program, started.address, str(marker.parent)]
    with ExitStack() as stack:
        driver = stack.enter_context(subprocess.Popen(command, cwd=tmp_path))
        stack.callback(driver.kill)
        pid = wait_for(lambda: int(marker.read_text()))
        driver.kill()
        wait_for(lambda: not Path(f"/proc/{pid}").exists() or None)
