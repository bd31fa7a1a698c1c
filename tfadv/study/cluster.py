"""Runs on the workers of a Dask scheduler, each a process of its own there."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tfadv.study.processes import LOG, POLL_S, last_line
from tfrecords.cluster import Cluster

GPU = "GPU"  # The resource of which each run takes one, where workers have it.


class Job(NamedTuple):
    """A run's folder, and its program with what follows it."""

    folder: Path
    arguments: tuple[str, ...]


def perform_on(
    cluster: Cluster, commands: Mapping[Path, Sequence[str]], finished: Callable[[Path], object]
) -> dict[Path, str]:
    """As `processes.perform_all`, on the cluster's workers.

    A worker has one run at a time. Where workers have the resource GPU (`dask worker --resources
    GPU=1`, one for each), every run takes one, and those without get none.

    Args:
        commands: by the run's folder, Python and its arguments; the worker's own Python is taken.
    """
    jobs = [Job(folder, tuple(command[1:])) for folder, command in commands.items()]
    with_gpu = any(known["resources"].get(GPU) for known in cluster.workers.values())
    how = {"resources": {GPU: 1}} if with_gpu else {}
    failures = {}
    for index, failure in cluster.map(_perform, jobs, "Runs", named=_name, lost=_lost, **how):
        if failure:
            failures[jobs[index].folder] = failure
        else:
            finished(jobs[index].folder)
    return failures


def _perform(job: Job) -> str:
    """Runs a job's program in this worker, and ends it if nobody waits for it any more.

    Returns:
        The last line that it printed, where it failed.
    """
    from distributed import get_worker  # noqa: PLC0415

    worker = get_worker()
    key = worker.get_current_task()
    job.folder.mkdir(parents=True, exist_ok=True)
    with (job.folder / LOG).open("ab") as log:
        process = subprocess.Popen([sys.executable, *job.arguments], stdout=log, stderr=log)
    try:
        while process.poll() is None:
            time.sleep(POLL_S)
            task = worker.state.tasks.get(key)
            # The driver or its scheduler is gone; a rerun must not find this run held.
            if task is None or task.state != "executing":
                process.terminate()
    finally:
        process.terminate()
        process.wait()
    return last_line(job.folder / LOG) if process.returncode else ""


def _name(job: Job) -> str:
    return job.folder.name


def _lost(job: Job, ended_by: str) -> str:
    return f"{job.folder.name}: {ended_by}"
