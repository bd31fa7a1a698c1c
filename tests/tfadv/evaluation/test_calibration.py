"""What Dice to expect, fitted on images whose law is known."""

import logging

import numpy as np
import pandas as pd
import pytest

from tfadv.evaluation.calibration import calibrate, fit, sentence
from tfadv.evaluation.quality import Measured
from tfadv.run.ensemble import load_ensemble
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError

SUBJECTS, IMAGES = 20, 10


def made(noise: float, sign: float = -1.0) -> Measured:
    """Dice is 0.8 minus half the entropy, and the judge says nothing of it."""
    random = np.random.default_rng(0)
    entropy = random.uniform(0, 1, SUBJECTS * IMAGES)
    dice = 0.8 + sign * 0.5 * entropy + random.uniform(-noise, noise, len(entropy))
    subjects = np.repeat([f"s{number}" for number in range(SUBJECTS)], IMAGES)
    judge = random.normal(size=len(entropy))
    columns = {"subject": subjects, "mean_dice": dice, "entropy": entropy, "judge": judge}
    return Measured(pd.DataFrame(columns), ("entropy", "judge"))


def test_the_law_and_its_width_are_found() -> None:
    found = fit(made(0.1))
    assert found.measure == "entropy"
    assert found.rho > 0.9
    assert (found.subjects, found.images) == (SUBJECTS, SUBJECTS * IMAGES)
    np.testing.assert_allclose(found.dice, 0.8 - 0.5 * np.array(found.at), atol=0.05)
    assert list(found.dice) == sorted(found.dice, reverse=True)
    # Nine of ten of a uniform noise of 0.1.
    assert found.within == pytest.approx(0.09, abs=0.015)
    expected = found.expected(("entropy", "judge"), np.array([0.5, 0.0]))
    assert expected.dice == pytest.approx(0.55, abs=0.05)


def test_what_falls_where_it_should_rise_is_told(caplog: pytest.LogCaptureFixture) -> None:
    measured = made(0.0, sign=1.0)
    alone = Measured(measured.table, ("entropy",))
    with caplog.at_level(logging.WARNING, logger="absl"):
        found = fit(alone)
    assert "nothing that the model says rises with Dice" in caplog.text
    assert np.ptp(found.dice) == pytest.approx(0)  # Level: it tells nothing.
    assert found.within > 0.15


def test_too_few_subjects_are_refused(run: WorkDir) -> None:
    with pytest.raises(UserError, match=r"at least 5 validation subjects .* received 2"):
        calibrate(load_ensemble([run]))


def test_a_sentence() -> None:
    assert sentence(fit(made(0.1))).startswith("predicted Dice: by entropy (rho 0.9")
