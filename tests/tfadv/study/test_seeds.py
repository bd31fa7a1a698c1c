"""Intervals over seeds and subjects, on differences whose spread is known."""

import math

import numpy as np
import pandas as pd
import pytest

from tfadv.study.seeds import interval_over_seeds


def differences(table: np.ndarray) -> pd.Series:
    """Of [subjects, seeds]."""
    return pd.DataFrame(table).rename_axis("subject").rename_axis("seed", axis=1).stack()


def test_what_is_the_same_for_all_has_no_width() -> None:
    low, high = interval_over_seeds(differences(np.full((10, 3), 0.25)))
    assert (low, high) == pytest.approx((0.25, 0.25))


def test_seeds_that_disagree_make_it_wide_however_many_subjects() -> None:
    # Every one of 1000 subjects says the same of each seed, and the seeds say -1 and 3.
    table = np.tile([-1.0, 3.0], (1000, 1))
    assert interval_over_seeds(differences(table)) == pytest.approx((-1.0, 3.0))


def test_many_seeds_leave_the_subjects_spread() -> None:
    random = np.random.default_rng(0)
    of_subjects = random.normal(size=(100, 1))
    low, high = interval_over_seeds(differences(np.tile(of_subjects, (1, 5))))
    # The standard error of a mean of 100.
    assert high - low == pytest.approx(2 * 1.96 * of_subjects.std() / 10, rel=0.05)
    assert low < of_subjects.mean() < high


def test_a_subject_without_a_seed_is_left_out() -> None:
    table = np.array([[1.0, 1.0], [9.0, np.nan]])
    assert interval_over_seeds(differences(table)) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("shape", [(5, 1), (0, 3)])
def test_one_seed_says_nothing_of_others(shape: tuple[int, int]) -> None:
    assert all(map(math.isnan, interval_over_seeds(differences(np.ones(shape)))))
