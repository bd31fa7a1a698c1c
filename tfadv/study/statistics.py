"""Which line of a study is better, by how much, and how surely: paired tests over subjects.

The unit of the tests is the subject. A subject's score is its mean over the runs that tested it;
two lines are compared on the subjects and seeds that both have. Where there are several seeds, the
mean difference has an interval over seeds and subjects beside (`seeds`).
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tfadv.evaluation import measures
from tfadv.evaluation.compare import ROUNDING, paired_t_test
from tfadv.study.seeds import interval_over_seeds

ALPHA = 0.05
KINDS = ("wilcoxon", "t")
PAIR = ["region", "measure", "fraction", "first", "second"]
NUMBERS = ["subjects", "undefined", "first_mean", "second_mean", "difference", "low", "high"]
NUMBERS += ["wilcoxon", "wilcoxon_p", "rank_biserial", "t", "t_p", "cohens_d"]
OVER_SEEDS = ["seeds", "seeds_low", "seeds_high"]


def subject_scores(results: pd.DataFrame) -> pd.DataFrame:
    """Every subject's mean over its runs.

    Args:
        results: a row per run, subject and region.

    Returns:
        All measures by (region, fraction, line, subject).
    """
    keys = ["region", "fraction", "line", "subject"]
    return results.groupby(keys, sort=False)[measures.names()].mean()


def compare_lines(results: pd.DataFrame, lines: Sequence[str]) -> pd.DataFrame:
    """Every pair of lines, tested for every region, measure and fraction.

    Args:
        results: a row per run, subject and region.
        lines: in order, the baseline first.

    Returns:
        A row per test with the columns PAIR, NUMBERS and OVER_SEEDS, and the p-values corrected by
        Holm (`..._p_holm`) within the tests of one kind, region and measure. `difference` is second
        minus first, with its 95 % interval over subjects from `low` to `high`, and over seeds as
        well from `seeds_low` to `seeds_high`. `undefined` counts the subjects
        left out because the measure does not exist for them. What cannot be computed is nan; see
        `paired`.
    """
    rows = [
        dict(zip(PAIR, (region, measure, fraction, *pair), strict=True))
        | {"subjects": len(scores), "undefined": undefined}
        | paired(scores["first"].to_numpy(), scores["second"].to_numpy())
        | _over_seeds(by_seed)
        for region, measure, fraction, pair, scores, undefined, by_seed in _pairs(results, lines)
    ]
    table = pd.DataFrame(rows, columns=PAIR + NUMBERS + OVER_SEEDS)
    for kind in KINDS:
        table[f"{kind}_p_holm"] = np.nan
        for _, p in table.groupby(PAIR[:2])[f"{kind}_p"]:
            table.loc[p.index, f"{kind}_p_holm"] = holm(p.to_numpy(float))
    return table


def median_gains(results: pd.DataFrame, lines: Sequence[str]) -> pd.DataFrame:
    """How much each line's median is above the baseline's, in percent of it (Kohl et al. 2017).

    Returns:
        A row per region, measure, fraction and line but the first: `gain`, nan where the baseline's
        median is 0.
    """
    rows = []
    for region, measure, fraction, (first, second), scores, *_ in _pairs(results, lines):
        if first == lines[0]:
            baseline, median = scores.median()
            gain = 100 * (median - baseline) / baseline if baseline else math.nan
            rows.append((region, measure, fraction, second, gain))
    return pd.DataFrame(rows, columns=["region", "measure", "fraction", "line", "gain"])


def paired(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Paired tests, effect sizes and the mean difference of second minus first.

    Returns:
        NUMBERS without the counts: means, the mean difference and its interval (see
        `mean_interval`); the Wilcoxon signed-rank test, without differences of zero, two-sided, and
        its effect size, the matched-pairs rank-biserial correlation (Kerby 2014: the ranks' share
        in favour minus that against); the paired t-test and Cohen's d_z, the mean difference in
        standard deviations of the differences. Where all subjects differ by the same amount, zero
        or not, and with a single one, there is neither test, interval nor effect size: nan.
    """
    found = dict.fromkeys(NUMBERS[2:], math.nan)
    if not first.size:
        return found
    # Equal differences are equal ranks, whatever rounding makes of them.
    difference = np.round(second - first, round(-math.log10(ROUNDING)))
    found |= {"first_mean": first.mean(), "second_mean": second.mean()}
    found["difference"] = found["second_mean"] - found["first_mean"]
    if np.ptp(difference) < ROUNDING:
        return found
    found["t"], found["t_p"] = paired_t_test(first, second)
    found["cohens_d"] = difference.mean() / difference.std(ddof=1)
    found["low"], found["high"] = mean_interval(difference)
    changed = difference[difference != 0]
    signed = np.sign(changed) * stats.rankdata(np.abs(changed))
    found["rank_biserial"] = signed.sum() / np.abs(signed).sum()
    result = stats.wilcoxon(changed)
    found["wilcoxon"], found["wilcoxon_p"] = float(result.statistic), float(result.pvalue)
    return found


def _over_seeds(by_seed: pd.DataFrame) -> dict[str, float]:
    """OVER_SEEDS of scores `first` and `second` by (subject, seed)."""
    low, high = interval_over_seeds(by_seed["second"] - by_seed["first"])
    seeds = by_seed.index.get_level_values("seed").nunique()
    return {"seeds": seeds, "seeds_low": low, "seeds_high": high}


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The mean's 95 % bootstrap interval: BCa, or percentile where that is undefined."""
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            interval = stats.bootstrap(
                (values,), np.mean, method=method, rng=np.random.default_rng(0)
            ).confidence_interval
        if np.isfinite(interval).all():
            break
    return float(interval.low), float(interval.high)


def holm(p: np.ndarray) -> np.ndarray:
    """p-values corrected by Holm 1979. A nan is no test: it stays, and does not count as one."""
    corrected = np.full(len(p), math.nan)
    known = ~np.isnan(p)
    if known.any():
        corrected[known] = multipletests(p[known], method="holm")[1]
    return corrected


def smallest_p(subjects: int) -> float:
    """What the Wilcoxon test gives at the least: all subjects differ in one direction."""
    return min(1.0, 2.0 ** (1 - subjects))


def ahead(test: pd.Series) -> tuple[str, str]:
    """The line with the better mean in a row of `compare_lines`, and the other."""
    first, second = str(test["first"]), str(test["second"])
    lower = measures.named(test["measure"]).better == "lower"
    return (second, first) if (test["difference"] > 0) != lower else (first, second)


def better(test: pd.Series) -> str:
    """The line of a row of `compare_lines` that is better, or "" where no difference holds.

    A difference holds where the corrected Wilcoxon p is below ALPHA, the mean and the ranks point
    in one direction, and of several seeds others would show it, too.
    """
    if not (test["wilcoxon_p_holm"] < ALPHA and agree(test)) or hangs_on_seeds(test):
        return ""
    return ahead(test)[0]


def agree(test: pd.Series) -> bool:
    """Whether mean and ranks point in one direction."""
    return bool(test["difference"] * test["rank_biserial"] > 0)


def hangs_on_seeds(test: pd.Series) -> bool:
    """Whether the interval over seeds and subjects has no difference in it; false of one seed."""
    return bool(test["seeds_low"] <= 0 <= test["seeds_high"])


def _pairs(
    results: pd.DataFrame, lines: Sequence[str]
) -> Iterator[tuple[str, str, float, tuple[str, str], pd.DataFrame, int, pd.DataFrame]]:
    """Of every region, measure, fraction and pair: subjects' first and second, undefined ones, and
    first and second by subject and seed."""
    for region, of_region in results.groupby("region", sort=False):
        for measure in (m.name for m in measures.MEASURES if m.tested):
            scores = of_region.groupby(["fraction", "line", "subject", "seed"])[measure].mean()
            none = scores.iloc[:0].droplevel([0, 1])
            by_side = {key: s.droplevel([0, 1]) for key, s in scores.groupby(level=[0, 1])}
            for fraction in sorted(results["fraction"].unique(), reverse=True):
                for pair in combinations(lines, 2):
                    sides = [by_side.get((fraction, line), none) for line in pair]
                    both = pd.concat(sides, axis=1, join="inner", keys=["first", "second"])
                    defined = both.dropna()
                    known = defined.groupby("subject").mean()
                    undefined = both.groupby("subject").ngroups - len(known)
                    yield str(region), measure, fraction, pair, known, undefined, defined
