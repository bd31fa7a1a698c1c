"""The scores that a model's card tells."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tfadv.evaluation.evaluate import evaluate
from tfadv.evaluation.held_out import held_out_scores
from tfadv.run.ensemble import load_ensemble
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir


@pytest.mark.slow
def test_scores_are_those_of_evaluation(run: WorkDir, tmp_path: Path) -> None:
    work_dir = WorkDir(Path(shutil.copytree(run.folder, tmp_path / "run")))
    for table in (work_dir.metrics, work_dir.subjects):
        table.unlink(missing_ok=True)
    trained, _, predictor = load_run(work_dir)
    settings, records = trained.settings, trained.records
    ensemble = load_ensemble([work_dir])
    of_validation = held_out_scores(ensemble)
    assert {note.split for note in of_validation} == {"validation"}

    for split, folds in (
        ("validation", settings.validation_folds),
        # Others as well, which the card leaves out.
        ("test", (*settings.test_folds, *settings.training_folds)),
    ):
        tables = evaluate(work_dir, predictor, records, folds)
        scores = held_out_scores(ensemble)
        assert scores[: len(of_validation)] == of_validation
        found = {note.region: note for note in scores if note.split == split}
        wanted = settings.validation_folds if split == "validation" else settings.test_folds
        rows = tables.regions[tables.regions["fold"].isin(wanted)]
        means = tables.subjects[tables.subjects["fold"].isin(wanted)]["mean_dice"]
        expected = {region: dice["dice"] for region, dice in rows.groupby("region")}
        for region, dice in {"mean": means, **expected}.items():
            assert found[str(region)].subjects == 2
            assert found[str(region)].dice == pytest.approx(dice.mean())
            assert found[str(region)].deviation == pytest.approx(dice.std(ddof=0))
        assert set(found) == {"mean", *map(str, expected)}


@pytest.mark.slow
def test_what_several_runs_scored_counts_once_and_old_tables_not(
    run: WorkDir, other_run: WorkDir, tmp_path: Path
) -> None:
    work_dirs = []
    for number, one in enumerate((run, other_run)):
        work_dir = WorkDir(Path(shutil.copytree(one.folder, tmp_path / str(number))))
        dice = 0.5 + number / 4
        named = {"subject": "NA", "fold": one.settings().test_folds[0]}
        pd.DataFrame([{**named, "mean_dice": dice}]).to_csv(work_dir.subjects, index=False)
        row = {**named, "region": "label_1", "dice": dice}
        pd.DataFrame([row]).to_csv(work_dir.metrics, index=False)
        work_dirs.append(work_dir)
    ensemble = load_ensemble(work_dirs)
    tested = [note for note in held_out_scores(ensemble) if note.split == "test"]
    told = [(note.region, note.subjects, note.dice, note.deviation) for note in tested]
    assert told == [("mean", 1, 0.625, 0.0), ("label_1", 1, 0.625, 0.0)]
    os.utime(work_dirs[1].metrics, (0, 0))  # Before its last epoch.
    assert {note.split for note in held_out_scores(ensemble)} == {"validation"}
