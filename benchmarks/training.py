"""Trainings: what surrounds their steps, and how they begin and end."""

import errno
import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf
from measuring import Action, Pair, entry
from reading import run_like_brats

from tfadv import methods
from tfadv.run.run import Run
from tfadv.run.work_dir import Progress
from tfadv.training.microscope import Microscope
from tfrecords.reading.record_set import open_record_set

ROOT = Path(__file__).parents[1]
STEPS = 8


@entry(
    "8 training steps with their data, by as many bare ones (Peiris, width 8, 64^3 x 4)",
    1.05,
    usual=1.03,
)
@contextmanager
def fit_over_step() -> Iterator[Pair]:
    values = ("critic_width=8", "precision=mixed_bfloat16")
    with run_like_brats("reciprocal_critic", STEPS, *values) as (run, model, batch):
        step = tf.function(model.train_step)

        def fitted() -> None:
            model.fit(run.batches(model, range(1)), steps_per_epoch=STEPS, verbose=0, shuffle=False)

        def bare() -> None:
            for _ in range(STEPS):
                logs = step(batch)
            next(iter(logs.values())).numpy()

        yield Pair(fitted, bare)


# A reading every 200 steps that takes as long as 6 is 3 % of them.
@entry("a reading of the microscope, by 20 training steps (Kohl, small, demo_tumour)", 0.3)
@contextmanager
def microscope_over_steps() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory() as folder:
        _preprocess(Path(folder))
        method = methods.get("kohl_hybrid").configure("small")
        run = Run.new(method, open_record_set(Path(folder) / "records"))
        model = run.build_model()
        (batch,) = run.batches(model, range(1)).take(1)
        step = tf.function(model.train_step)
        microscope = Microscope(run, Progress())
        microscope.set_model(model)

        def steps() -> None:
            for _ in range(20):
                logs = step(batch)
            next(iter(logs.values())).numpy()

        yield Pair(microscope.read, steps)


class _Programs:
    """Trainings as processes of their own, and the seconds of that part of them that counts."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def clock(self) -> float:
        return self.seconds

    def run(self, folder: Path, number: int, mark: bytes, *, to_mark: bool) -> None:
        """A training. Up to the mark in its output, or from its last one to the process's end."""
        flags = ["--records", str(folder / "records"), "--work_dir", str(folder / f"run{number}")]
        flags += ["--method", "kohl_hybrid", "--preset", "small", "--epochs", "1"]
        command = [sys.executable, "launch/train.py", *flags, "--steps_per_epoch", "20"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        screen, end = pty.openpty()  # A progress bar tells of single steps; a log has none.
        start = time.perf_counter()
        with subprocess.Popen(
            command, stdout=end, stderr=end, cwd=ROOT, env=environment
        ) as process:
            os.close(end)
            output = b""
            seen = start
            for piece in _pieces(screen):
                output += piece
                if mark in output:
                    seen, output = time.perf_counter(), b""
                    if to_mark:
                        process.kill()
                        break
            process.wait()
        os.close(screen)
        if seen == start or (not to_mark and process.returncode):
            raise RuntimeError(f"{' '.join(command)}: {output.decode(errors='replace')[-2000:]}")
        self.seconds += seen - start if to_mark else time.perf_counter() - seen


def _pieces(screen: int) -> Iterator[bytes]:
    """What is written on it, until nobody can write there any more."""
    try:
        while piece := os.read(screen, 65536):
            yield piece
    except OSError as error:
        if error.errno != errno.EIO:
            raise


_begins, _ends, _both = _Programs(), _Programs(), _Programs()


@entry("from the start of launch/train.py to its first step's end (Kohl)", 6, _begins.clock)
@contextmanager
def to_first_step() -> Iterator[Pair]:
    with _prepared(_begins) as (first_step, _):
        yield Pair(first_step)


@entry("from launch/train.py's last line to the end of its process (Kohl)", 2, _ends.clock)
@contextmanager
def to_end_of_process() -> Iterator[Pair]:
    with _prepared(_ends) as (_, to_end):
        yield Pair(to_end)


@entry(
    "from launch/train.py's last line to the end of its process, by from its start to the first "
    "step's end (Kohl)",
    0.2,
    _both.clock,
    usual=0.14,
)
@contextmanager
def end_over_start() -> Iterator[Pair]:
    with _prepared(_both) as (to_first_step, to_end):
        yield Pair(to_end, to_first_step)


@contextmanager
def _prepared(programs: _Programs) -> Iterator[tuple[Action, Action]]:
    """A training up to its first step's end, and one whose end counts alone."""
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder)
        _preprocess(records)
        numbers = iter(range(1000))
        yield (
            lambda: programs.run(records, next(numbers), b"1/20", to_mark=True),
            lambda: programs.run(records, next(numbers), b"best epoch", to_mark=False),
        )


def _preprocess(folder: Path) -> None:
    """The demonstration's tumours, to a record set in the folder."""
    flags = ["--out_dir", str(folder / "records"), "--data_dir", str(folder / "demo")]
    subprocess.run(
        [sys.executable, "launch/preprocess.py", *flags],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
