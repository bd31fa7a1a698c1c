"""Preprocessing that is killed, interrupted or ended, and what it costs."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tfrecords.errors import UserError
from tfrecords.records.manifest import Manifest, load_manifest
from tfrecords.records.verify import faults
from tfrecords.records.views import Patches

LIMIT_S = 120
Command = Callable[..., list[str]]
Launch = Callable[..., subprocess.CompletedProcess[str]]
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def family(pid: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # It may have ended.
            number, rest = stat.read_text().split(" (", 1)
            parents[int(number)] = int(rest.rsplit(")", 1)[1].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class Killing:
    """Preprocessing twelve parts of a few megabytes and two shards, killed once and again.

    Of `unlabelled` subjects, which are fewer parts, there are no patches.
    """

    def __init__(
        self,
        command: Command,
        data: Any,
        folder: Path,
        preprocess_here: Callable[..., Manifest],
        unlabelled: Sequence[str] = (),
    ) -> None:
        data.table["fold"] = data.table["subject"]
        data.unlabel(*unlabelled)
        undisturbed = folder / "undisturbed"
        dataset = data.find(unlabelled=bool(unlabelled))
        manifest = preprocess_here(dataset, undisturbed, view=Patches(33, 21, 400))
        self.shards = len(manifest.shards)
        self.expected = contents(undisturbed)
        self.out = folder / "killed"
        self.command = command
        self.folder = folder
        self.flags = (
            "preprocess",
            "--dataset=table",
            f"--data_dir={data.csv}",
            "--view=patches",
            "--patch_size=33",
            "--patches_per_class=400",
            "--workers=2",
            f"--unlabelled={bool(unlabelled)}",
        )

    @property
    def written(self) -> int:
        return len(list(self.out.glob(".progress/[!.]*.json")))

    def kill_when(self, moment: Callable[[float], bool], *flags: str) -> None:
        """Starts a run, kills it with SIGKILL, and waits until its workers have followed."""
        process = subprocess.Popen(
            self.command(*self.flags, *flags, f"--out_dir={self.out}"),
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        start = time.monotonic()
        try:
            while process.poll() is None and not moment(time.monotonic() - start):
                assert time.monotonic() - start < LIMIT_S
                time.sleep(0.005)
            descendants = family(process.pid) - {process.pid}
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        deadline = time.monotonic() + 10
        while orphans := [pid for pid in descendants if runs(pid)]:
            assert time.monotonic() < deadline, f"workers {orphans} outlive their parent"
            time.sleep(0.01)
        self.check_what_is_left()

    def kill_after(self, delay_s: float, *flags: str) -> None:
        self.kill_when(lambda elapsed_s: elapsed_s > delay_s, *flags)

    def check_what_is_left(self) -> None:
        """A whole record set, or none that could be mistaken for one."""
        try:
            manifest = load_manifest(self.out)
        except UserError:
            assert not (self.out / "manifest.json").exists()
        else:
            assert faults(self.out, manifest) == []

    def finish(self) -> str:
        """The last run's words; its files are those of the undisturbed one."""
        again = self.command(*self.flags, f"--out_dir={self.out}")
        result = subprocess.run(
            again, cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_S
        )
        assert result.returncode == 0, result.stderr
        assert contents(self.out) == self.expected
        return result.stdout


@pytest.fixture
def killing(
    command: Command,
    small_dataset: Callable[..., Any],
    tmp_path: Path,
    preprocess_here: Callable[..., Manifest],
) -> Killing:
    return Killing(command, small_dataset(tmp_path / "data", 12), tmp_path, preprocess_here)


@pytest.mark.slow
@needs_proc
def test_after_kills_the_same_command_completes_the_same_record_set(killing: Killing) -> None:
    killing.kill_when(lambda _: killing.out.exists())
    before = killing.written
    assert before < killing.shards
    killing.kill_when(lambda _: killing.written >= before + 3)
    between = killing.written
    assert before < between < killing.shards
    killing.kill_when(lambda _: killing.written >= between + 3)
    kept = killing.written
    assert f"{kept} of {killing.shards} shards are already written: kept." in killing.finish()


@needs_proc
@pytest.mark.slow
def test_unlabelled_subjects_are_resumed_too(
    command: Command,
    small_dataset: Callable[..., Any],
    tmp_path: Path,
    preprocess_here: Callable[..., Manifest],
) -> None:
    data, names = small_dataset(tmp_path / "data", 12), ("s2", "s3", "s5", "s6")
    killing = Killing(command, data, tmp_path, preprocess_here, names)
    # Eight subjects of two shards; two groups of unlabelled ones, of one shard each.
    assert killing.shards == 18
    killing.kill_when(lambda _: killing.written >= 4)
    killing.kill_when(lambda _: killing.written >= killing.shards - 1)
    killing.finish()


@needs_proc
@pytest.mark.slow
@pytest.mark.variants  # The campaign kills, too.
def test_kills_at_any_time_and_during_a_change_of_seed_do_no_harm(killing: Killing) -> None:
    for delay_s in (0.2, 0.6, 1.0, 1.4, 1.8, 2.2, 2.6, 3.0):
        killing.kill_after(delay_s)
    killing.finish()
    killing.kill_when(lambda _: 0 < killing.written < killing.shards, "--seed=1")
    killing.kill_after(2.5, "--seed=1")
    killing.finish()


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGINT, "Ctrl-C"),
        pytest.param(signal.SIGTERM, "SIGTERM", marks=pytest.mark.variants),
    ],
)
def test_a_signal_ends_in_one_line_and_the_same_command_goes_on(
    killing: Killing, number: signal.Signals, name: str
) -> None:
    with subprocess.Popen(
        killing.command(*killing.flags, f"--out_dir={killing.out}"),
        cwd=killing.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A suite that a shell runs in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while process.poll() is None and killing.written < 2:
            time.sleep(0.005)
        # As a terminal or a cluster does: to the program and its workers.
        os.killpg(process.pid, number)
        _, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert "Traceback" not in stderr
    last = stderr.splitlines()[-1]
    assert last == f"error: stopped by {name}; the same command goes on with what is missing"
    killing.check_what_is_left()
    killing.finish()


def resident_mb(pids: set[int]) -> float:
    """Memory held now, shared pages counted once for each process."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # It may have ended.
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@needs_proc
@pytest.mark.slow
def test_the_decathlons_hippocampi_take_seconds_and_little_memory(
    command: Command, real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = real_data / "Task04_Hippocampus"
    start = time.monotonic()
    process = subprocess.Popen(
        command("preprocess", "--dataset=decathlon", f"--data_dir={source}", "--out_dir=out"),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peak_mb = 0.0
    while process.poll() is None:
        peak_mb = max(peak_mb, resident_mb(family(process.pid)))
        time.sleep(0.05)
    elapsed_s = time.monotonic() - start
    with capsys.disabled():
        print(f"\nhippocampi: {elapsed_s:.1f} s, {peak_mb:.0f} MB in all processes")
    assert process.returncode == 0
    manifest = load_manifest(tmp_path / "out")
    labels = len(list((source / "labelsTr").glob("[!.]*.nii.gz")))
    assert len(manifest.subjects) == labels
    assert [c.name for c in manifest.classes] == ["background", "Anterior", "Posterior"]
    assert elapsed_s < 60
    assert peak_mb < 1500
