"""Performing one trial: train, then evaluate."""

from tfadv import methods
from tfadv.evaluation import evaluate
from tfadv.evaluation.criterion import Criterion
from tfadv.run.run import Run, load_run
from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfadv.study.plan import Study, Trial
from tfadv.study.processes import leave_with_parent
from tfadv.training import train
from tfrecords.reading.record_set import RecordSet


def trial_settings(study: Study, trial: Trial, records: RecordSet) -> Settings:
    """What determines a trial. Raises SettingError where the study asks for what there is not."""
    Criterion.parse(study.score, records.manifest)
    method = methods.get(study.lines[trial.line].method)
    return Run.new(
        method.configure(study.preset, study.overrides(trial.line)),
        records,
        trial.split,
        seed=trial.seed,
        positive_fraction=trial.fraction,
        selected_by=study.score,
        unlabelled_subjects=study.lines[trial.line].unlabelled,
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


def perform(work_dir: WorkDir, settings: Settings) -> None:
    """Trains and evaluates one trial in this process; goes on where it was stopped.

    Raises:
        UserError: another process performs it.
    """
    leave_with_parent()
    with work_dir.locked():
        # Of an earlier, shorter training: until the new evaluation is whole, there is none.
        work_dir.picture.unlink(missing_ok=True)
        train.train(work_dir, Run.open(settings))
        trained = load_run(work_dir)
        evaluate.evaluate(
            work_dir,
            trained.predictor,
            trained.run.records,
            settings.test_folds,
            save_predictions=True,
        )
