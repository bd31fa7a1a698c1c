"""Preprocessing on a real Dask scheduler with workers of their own over TCP."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfrecords import cluster
from tfrecords.cluster import connected
from tfrecords.errors import SettingError, UserError
from tfrecords.sources import layouts
from tfrecords.sources.subject import Dataset
from tfrecords.writing.preprocessing import Options, preprocess

ROOT = Path(__file__).parents[2]
START_S = 60


class Started:
    """A scheduler and its workers, which a test may kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._dask("scheduler", "--port", "0", "--no-dashboard")
        self.address = self._address()

    def _address(self) -> str:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            for word in (self.folder / "scheduler").read_text().split():
                if word.startswith("tcp://"):
                    return word
            time.sleep(0.1)
        raise TimeoutError((self.folder / "scheduler").read_text())

    def workers(self, number: int, *flags: str, **environment: str) -> list[int]:
        """Starts workers, waits for them, and gives their processes' numbers."""
        self.environment |= environment
        before = len(self.processes)
        for _ in range(number):
            name = f"worker{len(self.processes)}"
            self._dask("worker", self.address, "--no-nanny", "--nthreads=1", *flags, log=name)
        with connected(self.address) as found:
            found.client.wait_for_workers(len(self.processes) - 1, timeout=START_S)
        return [process.pid for process in self.processes[before:]]

    def _dask(self, *arguments: str, log: str = "scheduler") -> subprocess.Popen[bytes]:
        with (self.folder / log).open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                stdout=file,
                stderr=file,
                env=self.environment,
                cwd=self.folder,
            )
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    (tmp_path / "dask").mkdir()
    found = Started(tmp_path / "dask")
    yield found
    found.end()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Nine subjects of noise, as a table."""
    folder = tmp_path_factory.mktemp("sources")
    random = np.random.default_rng(0)
    lines = ["subject,t1,label"]
    for number in range(9):
        image = random.integers(1, 1000, (64, 64, 32)).astype(np.int16)
        nib.Nifti1Image(image, np.eye(4)).to_filename(folder / f"{number}.nii")
        label = (image > 500).astype(np.uint8)
        nib.Nifti1Image(label, np.eye(4)).to_filename(folder / f"{number}_label.nii")
        lines.append(f"s{number},{number}.nii,{number}_label.nii")
    (folder / "subjects.csv").write_text("\n".join(lines))
    return layouts.find("table", folder)


@pytest.fixture(scope="module")
def alone(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one machine writes."""
    folder = tmp_path_factory.mktemp("alone")
    preprocess(dataset, folder, Options(folds=3, workers=1))
    return written(folder)


def written(folder: Path) -> dict[str, bytes]:
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_three_workers_write_the_same_bytes_though_one_is_killed(
    started: Started, dataset: Dataset, alone: dict[str, bytes], tmp_path: Path
) -> None:
    victim, *_ = started.workers(3)
    with killed_at_first_shard(tmp_path / "records", victim):
        preprocess(dataset, tmp_path / "records", Options(folds=3, cluster=started.address))
    assert written(tmp_path / "records") == alone


@contextmanager
def killed_at_first_shard(folder: Path, pid: int) -> Iterator[None]:
    """Kills a process once anything is written, by one of its own."""
    program = (
        "import os, pathlib, signal, sys, time\n"
        "while not list(pathlib.Path(sys.argv[1]).rglob('*.tfrecord*')): time.sleep(0.01)\n"
        "os.kill(int(sys.argv[2]), signal.SIGKILL)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(folder), str(pid)]) as killer:
        yield
        assert killer.wait() == 0


@pytest.mark.slow
def test_a_killed_scheduler_is_one_line_and_a_rerun_the_same_bytes(
    started: Started, dataset: Dataset, alone: dict[str, bytes], tmp_path: Path
) -> None:
    started.workers(1)
    with (
        killed_at_first_shard(tmp_path / "records", started.scheduler.pid),
        pytest.raises(UserError, match="scheduler is gone"),
    ):
        preprocess(dataset, tmp_path / "records", Options(folds=3, cluster=started.address))
    started.end()
    preprocess(dataset, tmp_path / "records", Options(folds=3, workers=1))
    assert written(tmp_path / "records") == alone


@pytest.mark.slow
def test_who_cannot_take_part_is_named(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(started.address) as found:
        with pytest.raises(SettingError, match="received one without any"):
            found.require([], tmp_path)
        started.workers(1)
        found.require([], tmp_path)
        with pytest.raises(SettingError, match=r"tcp://.* cannot write to the record set"):
            found.require([], Path("/proc/1"))
        monkeypatch.setattr(cluster, "code", lambda: "0.0.1 abc")
        with pytest.raises(SettingError, match=r"has tfadv .*, expected 0\.0\.1 abc"):
            found.require([], tmp_path)
    os.kill(started.processes[-1].pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_of_several_threads_is_refused(started: Started, tmp_path: Path) -> None:
    started.workers(1, "--nthreads=2")
    with connected(started.address) as found, pytest.raises(SettingError, match="has 2 threads"):
        found.require([], tmp_path)


def raised(item: int) -> int:
    raise UserError(f"no {item}")


def full(item: int) -> int:
    raise OSError(28, "No space left on device", f"/shards/{item}")


@pytest.mark.slow
def test_a_full_disk_is_not_taken_for_a_lost_scheduler(started: Started) -> None:
    started.workers(1)
    with connected(started.address) as found, pytest.raises(OSError, match="No space left"):
        list(found.map(full, [7], "Testing"))


@pytest.mark.slow
def test_what_a_worker_raises_is_raised_here(started: Started) -> None:
    started.workers(1)
    with connected(started.address) as found:
        assert dict(found.map(abs, [-3, -4], "Testing")) == {0: 3, 1: 4}
        with pytest.raises(UserError, match="no 7"):
            list(found.map(raised, [7], "Testing"))


def test_nobody_at_an_address_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER_S", 0.2)
    with (
        pytest.raises(SettingError, match="expected the address of a Dask scheduler"),
        connected("tcp://127.0.0.1:9"),
    ):
        pass
