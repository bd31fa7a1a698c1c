"""Runs that hold out different folds, scored together: every subject by the run that tests it."""

from collections.abc import Sequence

import pandas as pd

from tfadv.evaluation import evaluate
from tfadv.evaluation.evaluate import Tables
from tfadv.run.run import load_run
from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError
from tfrecords.names import differences, repeated


def evaluate_all(
    work_dirs: Sequence[WorkDir],
    out: WorkDir,
    *,
    save_predictions: bool = False,
    empty_mm: float | None = None,
) -> Tables:
    """Scores each run on its test folds, and writes the tables of all and their summary.

    Args:
        out: its folder gets the tables of all; each run gets its own as well.

    Raises:
        UserError: before anything is scored, where runs differ in more than folds and seed, two of
            them test one fold, or one has no finished epoch.
    """
    settings = [work_dir.settings() for work_dir in work_dirs]
    _require_one_study(work_dirs, settings)
    parts = []
    for work_dir, each in zip(work_dirs, settings, strict=True):
        run, _, predictor = load_run(work_dir)
        parts.append(
            evaluate.evaluate(
                work_dir,
                predictor,
                run.records,
                each.test_folds,
                save_predictions=save_predictions,
                empty_mm=empty_mm,
            )
        )
    tables = Tables(
        pd.concat([part.regions for part in parts], ignore_index=True),
        pd.concat([part.subjects for part in parts], ignore_index=True),
    )
    out.folder.mkdir(parents=True, exist_ok=True)
    spread = _spread([part.subjects for part in parts])
    evaluate.write(out, tables, evaluate.describe(tables) + spread)
    return tables


def _spread(runs: Sequence[pd.DataFrame]) -> str:
    """How much the runs' mean Dice differ.

    Args:
        runs: of each, a row per subject.
    """
    dice = pd.Series(
        {", ".join(sorted(set(rows["fold"]))): rows["mean_dice"].mean() for rows in runs}
    )
    each = "; ".join(f"fold {fold}: {value:.3f}" for fold, value in dice.items())
    mean, std = dice.mean(), dice.std(ddof=0)
    return f"mean Dice by run: {each}\nmean ± standard deviation of {len(dice)} runs: " + (
        f"{mean:.3f} ± {std:.3f}\n"
    )


def _require_one_study(work_dirs: Sequence[WorkDir], settings: Sequence[Settings]) -> None:
    for work_dir, each in zip(work_dirs, settings, strict=True):
        if differing := differences(_alike(settings[0]), _alike(each)):
            raise UserError(
                f"{work_dirs[0].folder} and {work_dir.folder}: expected runs that differ in folds "
                f"and seed alone. They differ in {differing}. Evaluate each, and compare them"
            )
    if again := repeated(fold for each in settings for fold in each.test_folds):
        raise UserError(
            f"{', '.join(str(work_dir.folder) for work_dir in work_dirs)}: expected every subject "
            f"to be tested once, received fold {again[0]} several times. Evaluate each by itself, "
            "or the model that launch/export.py makes of them"
        )
    for work_dir in work_dirs:
        if not work_dir.progress().best_epoch:
            raise UserError(f"{work_dir.folder}: no epoch is finished yet; run launch/train.py on")


def _alike(settings: Settings) -> dict[str, object]:
    """What all runs must share."""
    return {
        "record set": settings.records,
        "method": settings.method,
        **settings.hyperparameters,
        "selected by": settings.selected_by,
        "positive fraction": settings.positive_fraction,
        "unlabelled subjects": settings.unlabelled_subjects,
    }
