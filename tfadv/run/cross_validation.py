"""The runs of a cross-validation: a folder for each, in a common one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from tfadv.run.run import Run
from tfadv.run.split import HeldOut, rotated
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError

FOLD = "fold_"


def fold_dirs(
    folder: Path, folds: Sequence[str], test: tuple[str, ...] = ()
) -> dict[WorkDir, HeldOut]:
    """The work_dir of each run of a cross-validation, with what it holds out; see `rotated`."""
    splits = rotated(folds, test)
    names = ["+".join(split.validation if test else split.test) for split in splits]
    return {
        WorkDir(folder / f"{FOLD}{name}"): split for name, split in zip(names, splits, strict=True)
    }


def begin_all(folder: Path, runs: Mapping[WorkDir, Run]) -> list[WorkDir]:
    """Notes the settings of each; returns those that are not finished.

    Raises:
        UserError: a folder holds another run, or a finished one that is damaged, another process
            trains one, or the common folder is a run itself. Nothing is written then.
    """
    if WorkDir(folder).hyperparameters.is_file():
        raise UserError(
            f"{folder}: holds a single run, no cross-validation. Give another --work_dir"
        )
    for work_dir, run in runs.items():
        work_dir.require_same(run.settings)
    pending = [w for w, run in runs.items() if w.progress().epochs < run.method.epochs]
    for work_dir in runs.keys() - set(pending):  # The others' trainings look at theirs.
        work_dir.require_whole()
    for work_dir in pending:
        with work_dir.locked():
            work_dir.begin(runs[work_dir].settings)
    return pending


def require_no_folds(work_dir: WorkDir) -> None:
    """Raises UserError where a folder holds a cross-validation, and so no single run."""
    if _runs(work_dir.folder):
        raise UserError(
            f"{work_dir.folder}: holds a cross-validation. Give --all_folds to go on with it, or "
            "another --work_dir"
        )


def runs_in(folders: Sequence[Path]) -> list[WorkDir]:
    """The runs in folders, each of which is one, or holds those of a cross-validation.

    Warns where one of these is gone.
    """
    for folder in folders:
        _tell_of_missing(folder)
    return [run for folder in folders for run in _runs(folder) or [WorkDir(folder)]]


def tell_of_unfinished(work_dirs: Sequence[WorkDir]) -> None:
    """Warns of runs that are not at their end."""
    for work_dir in work_dirs:
        epochs, wanted = work_dir.progress().epochs, work_dir.settings().hyperparameters["epochs"]
        if epochs < int(wanted):
            logging.warning("%s: %d of %s epochs are finished", work_dir.folder, epochs, wanted)


def _tell_of_missing(folder: Path) -> None:
    """Where every fold tests once, each one that validates a run tests another."""
    settings = {run.folder.name: run.settings() for run in _runs(folder)}
    own = [each for name, each in settings.items() if name == FOLD + "+".join(each.test_folds)]
    tested = {fold for each in own for fold in each.test_folds}
    missing = sorted({fold for each in own for fold in each.validation_folds} - tested)
    if missing:
        logging.warning(
            "%s: no run tests fold %s; launch/train.py --all_folds trains what is missing",
            folder,
            ", ".join(missing),
        )


def _runs(folder: Path) -> list[WorkDir]:
    return [WorkDir(path.parent) for path in sorted(folder.glob(f"{FOLD}*/hyperparameters.json"))]
