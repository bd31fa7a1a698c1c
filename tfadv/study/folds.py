"""Cross-validation: a training for each fold that is held out, in a process of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from tfadv.run.cross_validation import begin_all
from tfadv.run.run import Run
from tfadv.run.work_dir import WorkDir
from tfadv.study import devices, processes


def train_all(folder: Path, runs: Mapping[WorkDir, Run], command: Sequence[str]) -> None:
    """Trains those that are not finished: one on each GPU at a time, or one.

    Args:
        folder: of all of them.
        command: trains one, given its folds and work_dir.

    Raises:
        UserError: see `begin_all`; or some of them failed, after the others have ended.
    """
    pending = begin_all(folder, runs)
    logging.info("%s: %d of %d runs are finished", folder, len(runs) - len(pending), len(runs))
    if pending:
        logging.info("What each run prints: %s ...", pending[0].folder / processes.LOG)
    failures = processes.perform_all(
        {work_dir.folder: [*command, *_flags(work_dir, runs[work_dir])] for work_dir in pending},
        devices.environments(None),
        lambda _: None,
    )
    processes.require_success(failures)


def _flags(work_dir: WorkDir, run: Run) -> list[str]:
    return [
        "--noall_folds",
        f"--work_dir={work_dir.folder}",
        f"--validation_folds={','.join(run.settings.validation_folds)}",
        f"--test_folds={','.join(run.settings.test_folds)}",
    ]
