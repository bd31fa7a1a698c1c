"""Performing a study's runs: each in a process of its own, as many at a time as there are devices.

study file -> runs -> (one process each) train -> evaluate -> work_dir
"""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from tfadv import methods
from tfadv.evaluation import evaluate
from tfadv.run import run as runs
from tfadv.run.settings import Settings
from tfadv.run.split import HeldOut
from tfadv.run.work_dir import WorkDir
from tfadv.study.plan import Run, Study
from tfadv.training import train
from tfrecords.reading.record_set import RecordSet, open_record_set

LOG = "log.txt"
POLL_S = 0.5


def run_folder(folder: Path, run: Run) -> Path:
    return folder / "runs" / run.name


def run_settings(study: Study, run: Run, records: RecordSet) -> Settings:
    """What determines a run. Raises UserError where the study asks for what there is not."""
    method = methods.get(study.lines[run.line].method)
    return runs.Run.new(
        method.configure(study.preset, study.overrides(run.line)),
        records,
        HeldOut(run.split.validation, run.split.test),
        seed=run.seed,
        positive_fraction=run.fraction,
        selected_by=study.score,
    ).settings


def is_finished(work_dir: WorkDir, settings: Settings) -> bool:
    """Whether this run is trained and evaluated.

    Raises:
        UserError: the folder holds a run with other settings.
    """
    work_dir.require_same(settings)
    # Evaluation writes the picture last.
    trained = work_dir.progress().epochs >= int(settings.hyperparameters["epochs"])
    return trained and work_dir.picture.is_file()


def perform(study: Study, run: Run, folder: Path) -> None:
    """Trains and evaluates one run in this process; goes on where it was stopped.

    Raises:
        UserError: another process performs it.
    """
    work_dir = WorkDir(run_folder(folder, run))
    with work_dir.locked():
        # Of an earlier, shorter training: until the new evaluation is whole, there is none.
        work_dir.picture.unlink(missing_ok=True)
        settings = run_settings(study, run, open_record_set(study.records))
        train.train(work_dir, runs.Run.open(settings))
        _, _, predictor = trained = runs.load_run(work_dir)
        records, folds = trained.run.records, settings.test_folds
        evaluate.evaluate(work_dir, predictor, records, folds, save_predictions=True)


def environments(jobs: int | None) -> list[dict[str, str]]:
    """For each run at a time, an environment that gives it a GPU, or its share of the CPU's cores.

    Args:
        jobs: runs at a time; by default as many as there are GPUs, or one.
    """
    gpus = len(tf.config.list_physical_devices("GPU"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
    count = jobs or max(1, gpus)
    if gpus:
        bound = [{"CUDA_VISIBLE_DEVICES": visible[job % gpus]} for job in range(count)]
    else:
        threads = str(max(1, len(os.sched_getaffinity(0)) // count))
        bound = [{"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}] * count
    return [{**os.environ, **binding} for binding in bound]


def perform_all(
    commands: Mapping[Run, Sequence[str]],
    folder: Path,
    devices: Sequence[Mapping[str, str]],
    finished: Callable[[Run], None],
) -> dict[Run, str]:
    """Starts the command of each run, one at a time on each device; failures do not stop others.

    Whatever ends this ends its processes as well.

    Args:
        commands: of each run, a program and its arguments. What it prints goes into its LOG.
        devices: whole environments, each of which binds a process to a device.
        finished: told of every run that succeeded.

    Returns:
        Of each run that failed, the last line that it printed.
    """
    waiting, free = list(commands), list(devices)
    running: dict[Run, tuple[subprocess.Popen[bytes], Mapping[str, str]]] = {}
    failures = {}
    try:
        with tqdm(desc="Runs", total=len(commands), unit="run", dynamic_ncols=True) as bar:
            while waiting or running:
                while waiting and free:
                    run, device = waiting.pop(0), free.pop(0)
                    running[run] = _start(commands[run], run_folder(folder, run), device), device
                time.sleep(POLL_S)
                ended = [run for run, (process, _) in running.items() if process.poll() is not None]
                for run in ended:
                    process, device = running.pop(run)
                    free.append(device)
                    bar.update()
                    if process.returncode:
                        failures[run] = _last_line(run_folder(folder, run) / LOG)
                        bar.write(f"failed: {run.name}: {failures[run]}")
                    else:
                        finished(run)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait()
    return failures


def _start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), f"no message in {log}")
