"""How well a model's word tells the Dice of its label maps, by closed forms."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfadv.evaluation import quality
from tfadv.evaluation.degradations import DEGRADATIONS
from tfadv.evaluation.quality import Measured, measure, rho, risks, summary
from tfadv.evaluation.scoring import score, segment
from tfadv.run.ensemble import load_ensemble
from tfadv.run.work_dir import WorkDir


def made(said: dict[str, list[float]], dice: list[float]) -> Measured:
    """Two images of each subject."""
    subjects = [f"s{number // 2}" for number in range(len(dice))]
    strengths = [float(number % 2) for number in range(len(dice))]
    named = {"subject": subjects, "degradation": "noise", "strength": strengths}
    return Measured(pd.DataFrame({**named, "mean_dice": dice, **said}), tuple(said))


def test_rho_is_that_of_the_ranks() -> None:
    dice = np.array([0.1, 0.2, 0.3, 0.4])
    # Two neighbours exchanged: 1 - 6 (1 + 1) / (4 (16 - 1)).
    assert rho(np.array([1.0, 5.0, 3.0, 9.0]), dice) == pytest.approx(0.8)
    assert np.isnan(rho(np.ones(4), dice))


def test_risk_is_the_mean_loss_of_those_trusted_most() -> None:
    dice = np.array([0.5, 1.0, 0.0, 0.9])
    np.testing.assert_allclose(
        risks(np.array([2.0, 4.0, 1.0, 3.0]), dice), [0, 0.1 / 2, 0.6 / 3, 1.6 / 4]
    )
    # Of equal confidence, none comes first.
    np.testing.assert_allclose(risks(np.ones(4), dice), np.full(4, 1.6 / 4))


def test_summary_turns_what_is_good_when_low() -> None:
    dice = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    said = {"entropy": [6.0, 5, 4, 3, 2, 1], "judge": [1.0, 2, 3, 4, 6, 5]}
    rows = summary(made(said, dice))
    assert rows.loc["entropy", "rho"] == pytest.approx(1)
    assert rows.loc["entropy", "AURC"] == pytest.approx(rows.loc["(best order)", "AURC"])
    assert rows.loc["judge", "rho"] == pytest.approx(1 - 6 * 2 / (6 * 35))
    assert rows.loc["judge", "from"] <= rows.loc["judge", "rho"] <= rows.loc["judge", "to"]
    assert rows.loc["judge", "AURC"] > rows.loc["entropy", "AURC"]
    assert rows.loc["(by lot)", "AURC"] == pytest.approx(1 - np.mean(dice))


def test_of_a_model_that_says_the_same_of_all_there_is_no_rho() -> None:
    rows = summary(made({"entropy": [1.0] * 4}, [0.1, 0.2, 0.3, 0.4]))
    assert rows.loc["entropy", ["rho", "from", "to"]].isna().all()
    assert rows.loc["entropy", "AURC"] == pytest.approx(0.75)


@pytest.mark.slow
def test_a_run_is_measured_on_all_its_images(run: WorkDir, tmp_path: Path) -> None:
    ensemble = load_ensemble([run])
    folds = ensemble.first.settings.test_folds
    records = ensemble.first.records
    measured = measure(ensemble.predictor(), records, folds)
    images = 1 + sum(len(one.strengths) for one in DEGRADATIONS.values())
    assert len(measured.table) == 2 * images
    assert measured.names == ("entropy",)
    clean = measured.table[measured.table["strength"] == 0].set_index("subject")["mean_dice"]
    origins = {one.name: one for one in records.manifest.subjects}
    for segmented in segment(ensemble.predictor(), records, folds):
        name = segmented.volume.subject
        scores = score(segmented, origins[name], records.manifest, quality.measures.MEASURES)
        assert clean[name] == pytest.approx(np.mean([of["dice"] for of in scores.values()]))
    written = quality.write(measured, tmp_path)
    assert [path.name for path in written] == ["quality.csv", "quality.txt", "quality.png"]
    assert all(path.stat().st_size for path in written)
    assert "20 images of 2 subjects" in written[1].read_text()
