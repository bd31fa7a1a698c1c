"""Paired tests against closed forms, SciPy and a known example of Holm's correction."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tfadv.evaluation import measures
from tfadv.study import statistics

NOT_COMPUTED = ("low", "high", "wilcoxon", "wilcoxon_p", "rank_biserial", "t", "t_p", "cohens_d")
pytestmark = pytest.mark.filterwarnings("error")


def results(dice: dict[str, Sequence[float]], seed: int = 0, fraction: float = 1.0) -> pd.DataFrame:
    """A row per line and subject s0, s1, ... of the region x; other measures are 0."""
    rows = [
        {"line": line, "region": "x", "fraction": fraction, "seed": seed, "subject": f"s{n}"}
        | dict.fromkeys(measures.names(), 0.0)
        | {"dice": score}
        for line, scores in dice.items()
        for n, score in enumerate(scores)
    ]
    return pd.DataFrame(rows)


def only(tests: pd.DataFrame, **where: object) -> pd.Series:
    (row,) = [
        row for _, row in tests.iterrows() if all(row[name] == v for name, v in where.items())
    ]
    return row


def test_closed_forms() -> None:
    """Differences 1, 2, 3, 4 and -5 hundredths: ranks 10 for, 5 against; mean 1, variance 12.5."""
    first = np.array([0.5, 0.6, 0.4, 0.3, 0.9])
    found = statistics.paired(first, first + np.array([1, 2, 3, 4, -5]) / 100)
    assert found["difference"] == pytest.approx(0.01)
    assert found["wilcoxon"] == 5
    assert found["wilcoxon_p"] == pytest.approx(20 / 32)  # 10 of 32 sign patterns have W <= 5.
    assert found["rank_biserial"] == pytest.approx((10 - 5) / 15)
    assert found["cohens_d"] == pytest.approx(1 / math.sqrt(12.5))
    assert found["t"] == pytest.approx(math.sqrt(5) / math.sqrt(12.5))


@pytest.mark.parametrize("subjects", [7, 60])
def test_as_scipy(subjects: int) -> None:
    random = np.random.default_rng(subjects)
    first, second = random.uniform(size=(2, subjects))
    found = statistics.paired(first, second)
    assert found["wilcoxon_p"] == pytest.approx(stats.wilcoxon(first, second).pvalue)
    assert found["t_p"] == pytest.approx(stats.ttest_rel(first, second).pvalue)


def test_all_in_one_direction_is_the_smallest_p() -> None:
    """A difference of zero is no direction."""
    first = np.array([0.1, 0.2, 0.3, 0.7, 0.6, 0.5])
    found = statistics.paired(first, first + np.array([0.1, 0.1, 0.1, 0.1, 0.2, 0]))
    assert found["wilcoxon"] == 0
    assert found["rank_biserial"] == 1
    assert found["wilcoxon_p"] == pytest.approx(statistics.smallest_p(5)) == 0.0625


def test_ties_are_ties_whatever_rounding_makes_of_them() -> None:
    """Ranks 2, 2, 2 and 4: 0.3 - 0.1 is no nearer to 0.3 than 0.2 + 0.1 to 0.2."""
    first = np.array([0.1, 0.2, 0.3, 0.7])
    found = statistics.paired(first, first + np.array([0.1, 0.1, -0.1, 0.3]))
    assert found["wilcoxon"] == 2
    assert found["rank_biserial"] == pytest.approx(0.6)


@pytest.mark.parametrize("difference", [[0.0] * 4, [0.07] * 4, [0.3]])
def test_nothing_to_test(difference: list[float]) -> None:
    """All differences zero or equal, and one subject."""
    first = np.array([0.1, 0.2, 0.7, 0.4])[: len(difference)]
    found = statistics.paired(first, first + difference)
    assert found["difference"] == pytest.approx(difference[0])
    assert all(math.isnan(found[name]) for name in NOT_COMPUTED)


def test_one_changed_subject_is_no_evidence() -> None:
    assert statistics.paired(np.zeros(3), np.array([0, 0, 0.5]))["wilcoxon_p"] == 1


def test_the_interval_holds_the_true_mean_19_of_20_times() -> None:
    random = np.random.default_rng(0)
    samples = random.exponential(size=(60, 40))
    intervals = [statistics.mean_interval(sample) for sample in samples]
    assert 0.85 <= np.mean([low < 1 < high for low, high in intervals]) < 1
    assert statistics.mean_interval(samples[0]) == intervals[0]  # Seeded.
    mean, half = samples[0].mean(), 1.96 * samples[0].std() / math.sqrt(40)
    assert intervals[0] == pytest.approx((mean - half, mean + half), abs=0.3 * half)


def test_holm() -> None:
    """The example of Holm's procedure: 0.01, 0.04, 0.03 and 0.005 of four tests; nan is none."""
    corrected = statistics.holm(np.array([0.01, 0.04, math.nan, 0.03, 0.005]))
    np.testing.assert_allclose(corrected, [0.03, 0.06, math.nan, 0.06, 0.02])
    assert np.isnan(statistics.holm(np.array([math.nan]))).all()


@pytest.mark.slow
def test_families_are_pairs_and_fractions_of_a_region_and_measure() -> None:
    random = np.random.default_rng(0)

    def of(fraction: float) -> pd.DataFrame:
        scores = dict(zip("abc", random.uniform(size=(3, 8)), strict=True))
        table = results(scores, fraction=fraction)
        table["sensitivity"] = random.uniform(size=24)
        return pd.concat([table, table.assign(region="y", dice=random.uniform(size=24))])

    tests = statistics.compare_lines(pd.concat([of(0.5), of(1.0)]), ["b", "a", "c"])
    pairs = list(zip(tests["first"], tests["second"], strict=True))
    assert pairs[:6] == [("b", "a"), ("b", "c"), ("a", "c")] * 2
    assert list(tests["fraction"][:6]) == [1.0] * 3 + [0.5] * 3
    assert len(tests) == 2 * 3 * 6
    for region in "xy":
        for measure in ("dice", "sensitivity"):
            family = tests[(tests["region"] == region) & (tests["measure"] == measure)]
            for kind in ("wilcoxon", "t"):
                p = family[f"{kind}_p"]
                assert family[f"{kind}_p_holm"].min() == pytest.approx(min(1, 6 * p.min()))


def test_a_subject_is_its_mean_over_seeds_that_both_lines_have() -> None:
    table = pd.concat(
        [
            results({"a": [0.1, 0.2, 0.3], "b": [0.2, 0.4, 0.6]}, seed=0),
            results({"a": [0.3, 0.4, 0.5], "b": [0.6, 0.8, 1.0]}, seed=1),
            results({"a": [0.9, 0.9, 0.9]}, seed=2),  # The other line's run is missing.
        ]
    )
    row = only(statistics.compare_lines(table, ["a", "b"]), measure="dice")
    assert row["subjects"] == 3
    assert (row["first_mean"], row["second_mean"]) == pytest.approx((0.3, 0.6))
    assert row["t"] == pytest.approx(0.3 / (0.1 / math.sqrt(3)))
    scores = statistics.subject_scores(table)
    assert scores.loc[("x", 1.0, "a", "s0"), "dice"] == pytest.approx((0.1 + 0.3 + 0.9) / 3)


def test_subjects_of_one_line_alone_and_without_the_measure_are_left_out() -> None:
    dice = {"a": [0.1, 0.2, 0.3, 0.5], "b": [0.3, 0.2, 0.5]}  # The fourth is not in b.
    table = results(dice)
    table["sensitivity"] = table["dice"].where(table["subject"] != "s1")
    tests = statistics.compare_lines(table, ["a", "b"])
    sensitivity = only(tests, measure="sensitivity")
    assert (sensitivity["subjects"], sensitivity["undefined"]) == (2, 1)
    assert sensitivity["difference"] == pytest.approx(0.2)
    dice_row = only(tests, measure="dice")
    assert (dice_row["subjects"], dice_row["undefined"]) == (3, 0)


def test_lines_without_common_subjects_and_a_single_line() -> None:
    table = pd.concat([results({"a": [0.1, 0.2]}), results({"b": [0.3]}, fraction=0.5)])
    tests = statistics.compare_lines(table, ["a", "b"])
    assert (tests["subjects"] == 0).all()
    assert tests[["difference", "wilcoxon_p", "wilcoxon_p_holm"]].isna().all(axis=None)
    assert statistics.compare_lines(results({"a": [0.1]}), ["a"]).empty


@pytest.mark.parametrize(
    ("changes", "winner"),
    [
        ({}, "b"),
        ({"measure": "hausdorff95_mm"}, "a"),
        ({"difference": -0.1, "rank_biserial": -1.0}, "a"),
        ({"wilcoxon_p_holm": 0.05}, ""),
        ({"wilcoxon_p_holm": math.nan}, ""),
        ({"seeds_low": 0.05, "seeds_high": 0.2}, "b"),
        ({"seeds_low": -0.05, "seeds_high": 0.2}, ""),
        ({"rank_biserial": -1.0}, ""),  # The mean and the ranks disagree.
    ],
)
def test_better(changes: dict[str, object], winner: str) -> None:
    row = {"measure": "dice", "first": "a", "second": "b", "difference": 0.1}
    row |= {"rank_biserial": 1.0, "wilcoxon_p_holm": 0.049}
    row |= {"seeds_low": math.nan, "seeds_high": math.nan}
    assert statistics.better(pd.Series(row | changes)) == winner


def test_median_gain_in_percent_of_the_baseline() -> None:
    dice = {"a": [0.1, 0.2, 0.9], "b": [0.3, 0.1, 0.5], "c": [0.1, 0.1, 0.1]}
    gains = statistics.median_gains(results(dice), ["a", "b", "c"])
    assert only(gains, measure="dice", line="b")["gain"] == pytest.approx(50)
    assert only(gains, measure="dice", line="c")["gain"] == pytest.approx(-50)
    assert gains.loc[gains["measure"] == "sensitivity", "gain"].isna().all()  # All are 0.
    assert len(gains) == 6
