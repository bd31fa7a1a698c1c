"""A report's table of seeds: every measure of each line, and how far its seeds are apart."""

from collections.abc import Sequence

import pandas as pd

from tfadv.evaluation import measures
from tfadv.inference.targets import averaged_regions
from tfadv.study.material import Material, percent
from tfrecords.names import MEAN

SEED = ["fraction", "line", "seed"]
SHOWN = [measure for measure in measures.MEASURES if not measure.name.endswith("_ml")]


def titles() -> list[str]:
    """Of the columns of `rows`."""
    shown = [f"{m.title}, absolute" if m.either_sign else m.title for m in SHOWN]
    return ["training subjects", "line", "seeds", *shown]


def rows(material: Material, region: str) -> list[list[str]]:
    """A row per fraction and line: how many seeds, their mean and range of every measure."""
    means = of_seeds(material.results, region, averaged_regions(material.records.manifest))
    by_line = means.groupby(["fraction", "line"])
    counts = by_line.size()
    return [
        [percent(fraction), line, str(counts[fraction, line])]
        + [_cell(by_line.get_group((fraction, line))[m.name], m.digits) for m in SHOWN]
        for fraction in material.fractions
        for line in material.lines
        if (fraction, line) in counts.index
    ]


def of_seeds(results: pd.DataFrame, region: str, averaged: Sequence[str]) -> pd.DataFrame:
    """Every measure's mean over the subjects that have it, by (fraction, line, seed).

    Args:
        results: a row per run, subject and region.
        averaged: the regions of MEAN, over which errors of both signs do not cancel, either.
    """
    found = results[results["region"] == region].groupby(SEED, sort=False)
    means = found[[measure.name for measure in SHOWN]].mean()
    of = averaged if region == MEAN else [region]
    parts = results[results["region"].isin(of)]
    for name in (measure.name for measure in SHOWN if measure.either_sign):
        sizes = parts[name].abs().groupby([parts[key] for key in [*SEED, "subject"]]).mean()
        means[name] = sizes.groupby(SEED).mean()
    return means


def _cell(seeds: pd.Series, digits: int) -> str:
    """The mean of the seeds that have it, and the smallest to the largest of several."""
    known = seeds.dropna()
    if known.empty:
        return ""
    mean, least, most = (f"{value:.{digits}f}" for value in (known.mean(), min(known), max(known)))
    return mean if len(known) == 1 else f"{mean} ({least} to {most})"
