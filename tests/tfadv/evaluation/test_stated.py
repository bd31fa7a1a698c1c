"""Calibration of cases with known answers, and scikit-learn as a second opinion."""

import numpy as np
import pytest

from tfadv.evaluation.stated import BINS, Maps, Stated
from tfadv.inference.targets import Targets


def stated(probability: float, true: int, voxels: int = 10) -> Stated:
    """One probability everywhere, and how many voxels are of the region."""
    return Stated(np.full(voxels, probability, np.float32), np.arange(voxels) < true)


@pytest.mark.parametrize(
    ("probability", "true", "brier", "calibration_error"),
    [
        (0.0, 0, 0.0, 0.0),
        (1.0, 10, 0.0, 0.0),
        (1.0, 0, 1.0, 1.0),
        (0.5, 5, 0.25, 0.0),
        (0.8, 8, 0.16, 0.0),  # Calibrated: p (1 - p) is left.
        (0.8, 3, 0.46, 0.5),  # 0.3 * 0.04 + 0.7 * 0.64.
        (0.1, 4, 0.33, 0.3),
    ],
)
def test_one_probability_everywhere(
    probability: float, true: int, brier: float, calibration_error: float
) -> None:
    found = stated(probability, true)
    assert found.brier == pytest.approx(brier, abs=1e-6)
    assert found.calibration_error == pytest.approx(calibration_error, abs=1e-6)


def test_errors_of_different_bins_do_not_cancel_and_those_of_one_do() -> None:
    parts = stated(0.2, 0), stated(0.8, 10)
    found = Stated(
        *(np.concatenate([getattr(p, n) for p in parts]) for n in ("probability", "truth"))
    )
    assert found.calibration_error == pytest.approx(0.2, abs=1e-6)
    near = Stated(np.float32([0.41, 0.45]), np.array([True, False]))
    assert int(0.41 * BINS) == int(0.45 * BINS)
    assert near.calibration_error == pytest.approx(abs(0.86 - 1) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("power", "brier", "calibration_error"),
    [
        (1.0, 0.13400383, 0.0048305865),
        (1.5, 0.11638919, 0.083299876),
        (3.0, 0.12122712, 0.19069988),
    ],
)
def test_scikit_learn_agrees(power: float, brier: float, calibration_error: float) -> None:
    """scikit-learn 1.9.1: brier_score_loss, and calibration_curve with 15 uniform bins."""
    number = np.arange(5000)
    probability = (((number * 0.6180339887) % 1) ** 2).astype(np.float32)
    truth = (number * 0.7548776662) % 1 < probability.astype(float) ** power
    found = Stated(probability, truth)
    assert found.brier == pytest.approx(brier, rel=1e-5)
    assert found.calibration_error == pytest.approx(calibration_error, rel=1e-5)


MAPS = np.random.default_rng(0).dirichlet(np.ones(4), (2, 3, 5)).astype(np.float32)


def test_a_regions_probability_is_the_sum_of_its_exclusive_classes() -> None:
    maps = Maps(MAPS, Targets(tuple("abcd"), ((0,), (1,), (2,), (3,)), exclusive=True, classes=4))
    found = maps.of((2,))
    assert found is not None
    assert np.shares_memory(found, MAPS)
    np.testing.assert_array_equal(found, MAPS[..., 2])
    np.testing.assert_allclose(maps.of((1, 3)), MAPS[..., 1] + MAPS[..., 3])


def test_maps_that_overlap_state_their_own_regions_alone() -> None:
    maps = Maps(MAPS[..., :2], Targets(("WT", "TC"), ((1, 2, 3), (3, 1)), False, 4))
    np.testing.assert_array_equal(maps.of((1, 3)), MAPS[..., 1])
    np.testing.assert_array_equal(maps.of((1, 2, 3)), MAPS[..., 0])
    assert maps.of((1,)) is None
