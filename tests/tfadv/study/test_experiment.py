"""A study on disk: what is finished, its table, its report."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfadv.evaluation import measures
from tfadv.run.settings import Settings
from tfadv.run.split import training_subjects
from tfadv.study import experiment
from tfadv.study.experiment import Experiment, open_experiment
from tfadv.study.plan import Line, Study, Trial
from tfadv.study.runner import perform
from tfrecords.errors import SettingError, UserError
from tfrecords.reading.record_set import RecordSet

FILE = Path("studies/small.toml")
TINY = {"width": 2, "convolutions": 1, "batch_size": 2, "epochs": 1, "steps_per_epoch": 2}


@pytest.fixture(scope="session")
def performed(records: RecordSet, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Two lines and two fractions, of which one run is not performed."""
    lines = {
        "plain": Line("kohl_cross_entropy"),
        "both": Line("kohl_hybrid", {"shift": 2.0, "discriminator_width": 2}),
    }
    study = Study(
        "Small", records.folder, lines, "small", hp=TINY, fractions=(1.0, 0.5), score="label_2"
    )
    study = replace(study, splits=())
    opened = open_experiment(study, tmp_path_factory.mktemp("experiment"), FILE)
    for trial in opened.settings:
        if trial.split.test == ("0",) and (trial.line, trial.fraction) != ("both", 0.5):
            perform(opened.work_dir(trial), opened.settings[trial])
    return opened


@pytest.mark.slow
def test_every_fold_is_tested_with_every_line_and_fraction(performed: Experiment) -> None:
    assert len(performed.settings) == 2 * 2 * 3
    for trial, settings in performed.settings.items():
        assert settings.test_folds == trial.split.test
        assert settings.selected_by == "label_2"
        assert settings.hyperparameters["epochs"] == 1
        assert settings.hyperparameters["shift"] == (2.0 if trial.line == "both" else 4.0)


@pytest.mark.slow
def test_pending_runs_are_those_not_performed(performed: Experiment) -> None:
    done = {trial.name for trial in performed.settings} - {
        trial.name for trial in performed.pending()
    }
    assert done == {
        "plain-test0-seed0-fraction1",
        "plain-test0-seed0-fraction0.5",
        "both-test0-seed0-fraction1",
    }


@pytest.mark.slow
def test_an_unfinished_evaluation_is_done_again(performed: Experiment) -> None:
    trial = performed.named("plain-test0-seed0-fraction1")
    picture = performed.work_dir(trial).picture
    content = picture.read_bytes()
    picture.unlink()
    assert trial in performed.pending()
    picture.write_bytes(content)
    assert trial not in performed.pending()


@pytest.mark.slow
def test_results_are_those_of_the_runs(performed: Experiment) -> None:
    results = performed.write_results()
    saved = pd.read_csv(performed.folder / "results.csv", dtype={"fold": str})
    pd.testing.assert_frame_equal(results, saved, check_exact=False)
    assert set(results["line"]) == {"plain", "both"}
    subjects = [s.name for s in performed.manifest.subjects if s.fold == "0"]
    # Three runs, the test subjects, two classes and their mean.
    assert len(results) == 3 * len(subjects) * 3
    one = results[(results["line"] == "both") & (results["subject"] == subjects[0])].set_index(
        "region"
    )
    trial = performed.named("both-test0-seed0-fraction1")
    metrics = pd.read_csv(performed.work_dir(trial).metrics).set_index(["subject", "region"])
    for region in ("label_1", "label_2"):
        expected = metrics.loc[(subjects[0], region), "dice"]
        assert one.loc[region, "dice"] == pytest.approx(expected)
    mean = one.loc[["label_1", "label_2"], "dice"].mean()
    assert one.loc["mean", "dice"] == pytest.approx(mean)
    assert set(measures.names()) < set(results.columns)


@pytest.mark.slow
def test_results_count_positive_training_subjects(performed: Experiment) -> None:
    results = performed.write_results()
    positive = {s.name for s in performed.manifest.subjects if s.group == "low"}
    for fraction, rows in results.groupby("fraction"):
        trained = training_subjects(performed.manifest, ("2",), float(fraction), 0)
        assert set(rows["training_subjects"]) == {len(trained & positive)}


@pytest.mark.slow
def test_the_report_is_written_of_what_is_finished(performed: Experiment) -> None:
    page = performed.write_report().read_text()
    assert "Small" in page
    assert "3 of 12" in page
    assert "data:image/png;base64," in page


def test_nothing_finished_is_said(records: RecordSet, tmp_path: Path) -> None:
    study = Study("x", records.folder, {"a": Line("kohl_hybrid")})
    with pytest.raises(UserError, match="no run is finished"):
        open_experiment(study, tmp_path, FILE).write_results()


@pytest.mark.slow
def test_a_changed_study_is_refused(performed: Experiment) -> None:
    study = replace(performed.study, hp={**TINY, "width": 4})
    with pytest.raises(UserError, match="width: 2 there, 4 given"):
        open_experiment(study, performed.folder, FILE).pending()


@pytest.mark.slow
def test_an_unknown_run_is_named(performed: Experiment) -> None:
    with pytest.raises(UserError, match="--list names, received both-fold9"):
        performed.named("both-fold9")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"score": "tumour"}, "small.toml: score: expected one of mean, label_1"),
        ({"lines": {"a": Line("kohl_perfect")}}, "kohl_perfect"),
        ({"hp": {"depth": 3}}, "small.toml: hp.depth: "),
    ],
)
def test_a_study_that_asks_too_much_is_refused_before_any_run(
    changed: dict, message: str, performed: Experiment, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        open_experiment(replace(performed.study, **changed), tmp_path, FILE)


@pytest.mark.slow
def test_numbers_are_finite_where_they_exist(performed: Experiment) -> None:
    assert np.isfinite(performed.write_results()["dice"]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "entry"),
    [("hp.shift", "lines.both.hp.shift"), ("hp.width", "hp.width"), ("select_by", "score")],
)
def test_a_wrong_setting_is_told_as_an_entry_of_the_file(
    setting: str,
    entry: str,
    performed: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second line's trials are refused."""

    def refuse(study: Study, trial: Trial, records: RecordSet) -> Settings:
        if trial.line == "both":
            raise SettingError(setting, "expected 2, received 3")
        return performed.settings[trial]

    monkeypatch.setattr(experiment, "trial_settings", refuse)
    with pytest.raises(UserError) as refusal:
        open_experiment(performed.study, tmp_path, FILE)
    assert str(refusal.value) == f"studies/small.toml: {entry}: expected 2, received 3"
