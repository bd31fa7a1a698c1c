"""Performing one trial: train, then evaluate."""

import fcntl

from tfadv import methods
from tfadv.evaluation import evaluate
from tfadv.run.run import load_run
from tfadv.run.settings import Settings, settings_of
from tfadv.run.split import choose_split
from tfadv.run.work_dir import WorkDir
from tfadv.study.plan import Study, Trial
from tfadv.study.processes import leave_with_parent
from tfadv.training import train
from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet


def trial_settings(study: Study, trial: Trial, records: RecordSet) -> Settings:
    """What determines a trial. Raises UserError where the study asks for what there is not."""
    method = methods.get(study.lines[trial.line].method)
    return settings_of(
        method,
        method.resolve(study.preset, study.overrides(trial.line)),
        records,
        choose_split(records.manifest, trial.split.validation, trial.split.test),
        study.precision,
        trial.seed,
        positive_fraction=trial.fraction,
        selected_by=study.score,
    )


def is_finished(work_dir: WorkDir, settings: Settings) -> bool:
    """Whether this run is trained and evaluated.

    Raises:
        UserError: the folder holds a run with other settings.
    """
    work_dir.require_same(settings)
    # Evaluation writes the picture last.
    trained = work_dir.progress().epochs >= settings.hyperparameters["epochs"]
    return trained and work_dir.picture.is_file()


def perform(work_dir: WorkDir, settings: Settings) -> None:
    """Trains and evaluates one trial in this process; goes on where it was stopped.

    Raises:
        UserError: another process performs it.
    """
    leave_with_parent()
    work_dir.folder.mkdir(parents=True, exist_ok=True)
    with (work_dir.folder / "lock").open("w") as lock:  # Let go when the process ends, however.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{work_dir.folder}: another process performs this run") from None
        # Of an earlier, shorter training: until the new evaluation is whole, there is none.
        work_dir.picture.unlink(missing_ok=True)
        train.train(work_dir, settings)
        _, records, _, predictor = load_run(work_dir)
        folds = settings.test_folds
        evaluate.evaluate(work_dir, predictor, records, folds, save_predictions=True)
