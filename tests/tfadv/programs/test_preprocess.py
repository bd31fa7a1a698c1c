"""The program as users run it: its messages, and what is left after it was killed."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.records.manifest import Manifest, damaged_shards, load_manifest
from tfrecords.records.views import View

PROGRAM = Path(__file__).parents[2] / "launch" / "preprocess.py"
LIMIT_S = 120
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


def command(*flags: object) -> list[str]:
    return [sys.executable, str(PROGRAM), *map(str, flags)]


def run(folder: Path, *flags: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*flags), cwd=folder, capture_output=True, text=True, timeout=LIMIT_S
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_help_shows_commands_and_flags(tmp_path: Path) -> None:
    result = run(tmp_path, "--help")
    assert "python launch/preprocess.py --dataset decathlon" in result.stdout
    assert "--patches_per_class" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--spacing=1,nan,1"], "--spacing: expected three numbers X,Y,Z in mm, positive, or 0"),
        (["--spacing=0,0,0"], "0 (but not all) for the source's own, received 0,0,0"),
        (["--spacing=1,-1,0"], "received 1,-1,0"),
        (["--view=patches", "--foreground_slices"], "expected the view slices, received patches"),
        (["--crop=9,9"], "--crop: expected three positive whole numbers X,Y,Z of voxels"),
        (["--crop=9,0,9"], "received 9,0,9"),
        (["--orientation=RAX"], "--orientation: expected three axis codes such as RAS"),
        (["--dataset=decathlon"], "--data_dir: expected a folder for --dataset decathlon"),
        (["--dataset=table", "--data_dir=nowhere"], "--data_dir: expected a CSV"),
        (["--no_such_flag=1"], "no_such_flag"),
        (["--view=cubes"], "<slices|patches|volumes>"),
        (["--view=patches", "--patch_size=32"], "odd numbers"),
        (["--view=patches", "--patch_size=32"], "received 32 and 21"),
        (["--view=patches", "--label_size=20"], "received 87 and 20"),
        (["--view=patches", "--patch_size=15"], "labels no larger than patches; received 15 and"),
        (["--method=any", "--view=slices"], "--method and --view: expected one of them"),
        (
            ["--dataset=brats", "--unlabelled"],
            "--unlabelled: expected --dataset decathlon or table",
        ),
        (["positional"], "expected flags alone, received ['positional']"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, flags: list[str], message: str) -> None:
    result = run(tmp_path, *flags)
    assert result.returncode != 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_invalid_subjects_end_with_their_faults(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 2)
    data.path("s1", "t2").unlink()
    result = run(tmp_path, "--dataset=table", f"--data_dir={data.csv}", "--workers=1")
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    error = result.stderr[result.stderr.index("error: ") :].splitlines()
    assert error[0].startswith("error: 1 of 2 subjects are not valid; nothing was written")
    assert error[1:] == [f"  s1: {data.path('s1', 't2')}: no such file"]
    assert not (tmp_path / "records").exists()


def test_a_run_tells_what_it_wrote_and_what_comes_next(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 4)
    flags = ("--dataset=table", f"--data_dir={data.folder}", "--folds=2", "--workers=1")
    flags += ("--seed=3", "--spacing=1,1,2", "--crop=9,20,5", "--modalities=t2,t1")
    result = run(tmp_path, *flags, "--orientation=LPS")
    assert result.returncode == 0, result.stderr
    manifest = load_manifest(tmp_path / "records" / "table")
    assert (manifest.seed, manifest.orientation) == (3, "LPS")
    assert manifest.wanted_spacing_mm == (1, 1, 2)
    assert manifest.folds == ("0", "1")
    assert manifest.modalities == ("t2", "t1")
    assert manifest.largest_shape == (5, 14, 9)
    assert "slices: 20 examples in 3 shards" in result.stdout
    assert "volumes: 4 examples in 3 shards" in result.stdout
    assert "4 subjects in 2 folds, seed 3: records/table" in result.stdout
    assert "launch/train.py" in result.stdout


def test_a_run_tells_which_subjects_only_train_and_how_many_slices_are_left(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 4)
    path = data.path("s0", "label")
    image = nib.Nifti1Image.from_filename(path)
    label = np.asarray(image.dataobj).copy()
    label[..., 3:6] = 0
    nib.Nifti1Image(label, image.affine).to_filename(path)
    flags = ("--dataset=table", f"--data_dir={data.folder}", "--folds=3", "--workers=1")
    flags += ("--spacing=0.5,0.5,0", "--foreground_slices", "--training_only=low")
    result = run(tmp_path, *flags)
    assert result.returncode == 0, result.stderr
    manifest = load_manifest(tmp_path / "records" / "table")
    assert manifest.folds == ("0", "1", "2", "training")
    assert manifest.wanted_spacing_mm == (0.5, 0.5, 0)
    assert manifest.largest_shape == (10, 28, 24)
    # Eight of each subject, three of s0 without a label.
    assert "slices: 29 examples in 4 shards" in result.stdout
    assert "1 subjects only train: fold training\n" in result.stdout


def test_a_run_tells_how_many_unlabelled_subjects_it_took(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 5)
    data.unlabel("s0", "s3")
    data.table.to_csv(data.csv, index=False)
    flags = ("--dataset=table", f"--data_dir={data.folder}", "--folds=2", "--workers=1")
    result = run(tmp_path, *flags, "--unlabelled")
    assert result.returncode == 0, result.stderr
    manifest = load_manifest(tmp_path / "records" / "table")
    assert [s.name for s in manifest.subjects if not s.labelled] == ["s0", "s3"]
    lines = result.stdout.splitlines()
    assert "2 unlabelled subjects, as whole volumes" in lines
    assert "3 subjects in 2 folds, seed 0: records/table" in lines
    assert "slices: 24 examples in 3 shards" in result.stdout
    assert "volumes: 5 examples in 4 shards" in result.stdout


def test_a_run_tells_the_patches_of_each_class_and_the_subjects_without_any(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 8)
    for number in range(7):
        path = data.path(f"s{number}", "label")
        image = nib.Nifti1Image.from_filename(path)
        label = np.asarray(image.dataobj).copy()
        label[label == 2] = 1
        if number == 0:
            label[label == 1] = 0
        nib.Nifti1Image(label, image.affine).to_filename(path)
    flags = ("--dataset=table", f"--data_dir={data.folder}", "--folds=2", "--workers=1")
    result = run(tmp_path, *flags, "--view=patches", "--patches_per_class=3", "--patch_size=25")
    assert result.returncode == 0, result.stderr
    view = load_manifest(tmp_path / "records" / "table").view
    assert view == View("patches", patch_size=25, label_size=21, patches_per_class=3)
    assert "class background: 24 patches\n" in result.stdout
    assert "class label_1: 21 patches\n" in result.stdout
    assert "class label_1: no patches of 1 of 8 subjects, which lack it: s0\n" in result.stdout
    assert "class label_2: 3 patches\n" in result.stdout
    named = "s0, s1, s2, s3, s4, ..."
    line = f"class label_2: no patches of 7 of 8 subjects, which lack it: {named}\n"
    assert line in result.stdout
    written = re.search(r"patches: 48 examples in .* shards, (.*) MB", result.stdout)
    volumes = re.search(r"volumes: 8 examples in .* shards, (.*) MB", result.stdout)
    planned = re.search(r"Writing .* shards, at most (.*) MB\.", result.stdout)
    assert written
    assert volumes
    assert planned
    assert float(planned[1]) >= float(written[1]) + float(volumes[1])


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
        data: Any,
        folder: Path,
        preprocess_here: Callable[..., Manifest],
        unlabelled: Sequence[str] = (),
    ) -> None:
        data.table["fold"] = data.table["subject"]
        data.unlabel(*unlabelled)
        undisturbed = folder / "undisturbed"
        dataset = data.find(unlabelled=bool(unlabelled))
        manifest = preprocess_here(dataset, undisturbed, view=View("patches", 33, 21, 400))
        self.shards = len(manifest.shards)
        self.expected = contents(undisturbed)
        self.out = folder / "killed"
        self.folder = folder
        self.flags = (
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
            command(*self.flags, *flags, f"--out_dir={self.out}"),
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
            assert damaged_shards(self.out, manifest) == []

    def finish(self) -> str:
        """The last run's words; its files are those of the undisturbed one."""
        result = run(self.folder, *self.flags, f"--out_dir={self.out}")
        assert result.returncode == 0, result.stderr
        assert contents(self.out) == self.expected
        return result.stdout


@pytest.fixture
def killing(
    small_dataset: Callable[..., Any], tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> Killing:
    return Killing(small_dataset(tmp_path / "data", 12), tmp_path, preprocess_here)


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
    small_dataset: Callable[..., Any], tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    data, names = small_dataset(tmp_path / "data", 12), ("s2", "s3", "s5", "s6")
    killing = Killing(data, tmp_path, preprocess_here, names)
    # Eight subjects of two shards; two groups of unlabelled ones, of one shard each.
    assert killing.shards == 18
    killing.kill_when(lambda _: killing.written >= 4)
    killing.kill_when(lambda _: killing.written >= killing.shards - 1)
    killing.finish()


@needs_proc
@pytest.mark.slow
def test_kills_at_any_time_and_during_a_change_of_seed_do_no_harm(killing: Killing) -> None:
    for delay_s in (0.2, 0.6, 1.0, 1.4, 1.8, 2.2, 2.6, 3.0):
        killing.kill_after(delay_s)
    killing.finish()
    killing.kill_when(lambda _: 0 < killing.written < killing.shards, "--seed=1")
    killing.kill_after(2.5, "--seed=1")
    killing.finish()


@needs_proc
@pytest.mark.slow
def test_ctrl_c_ends_in_one_line_and_the_same_command_goes_on(killing: Killing) -> None:
    with subprocess.Popen(
        command(*killing.flags, f"--out_dir={killing.out}"),
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
        # As a terminal does: to the program and its workers.
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode not in (0, None)
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].startswith("error: stopped by Ctrl-C")
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
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = real_data / "Task04_Hippocampus"
    start = time.monotonic()
    process = subprocess.Popen(
        command("--dataset=decathlon", f"--data_dir={source}", "--out_dir=out", "--workers=2"),
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
