"""Two evaluated runs on the same test subjects, side by side, as in Moeskops et al. 2017, 3.2."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from tfadv.evaluation import boxplots, label_maps, runs
from tfadv.evaluation.runs import EvaluatedRun
from tfrecords.files import write_file
from tfrecords.reading.record_set import RecordSet, open_record_set

# Differences closer than this are one: Dice coefficients are ratios of voxel counts.
ROUNDING = 1e-12


def compare(baseline: EvaluatedRun, other: EvaluatedRun) -> pd.DataFrame:
    """A row per measure and region: both runs, the mean difference and a paired t-test.

    Returns:
        The index is (measure, region). Standard deviations are those of the subjects at hand
        (divided by their number). `difference` is other minus baseline; t and p are of
        `paired_t_test`; `mark` is ** for p < 0.01 and * for p < 0.05, whichever run is better.

    Raises:
        UserError: the runs differ in record set, test subjects or regions.
    """
    runs.require_comparable(
        [(run.work_dir, _alike(run)) for run in (baseline, other)],
        "Train on one record set, or evaluate with the same --folds",
    )
    found = {}
    for column in baseline.scores:
        first = baseline.scores[column].to_numpy()
        second = other.scores[column].to_numpy()
        t, p = paired_t_test(first, second)
        found[column] = {
            "baseline_mean": first.mean(),
            "baseline_std": first.std(),
            "other_mean": second.mean(),
            "other_std": second.std(),
            "difference": second.mean() - first.mean(),
            "t": t,
            "p": p,
            "mark": "**" if p < 0.01 else "*" if p < 0.05 else "",
        }
    table = pd.DataFrame.from_dict(found, orient="index")
    table.index.names = ["measure", "region"]
    return table


def paired_t_test(baseline: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """t of other minus baseline, and the two-sided p.

    Both nan where t is no number: one subject, or a difference that is the same in all, zero or
    not. Rounding would make it huge, and p zero.
    """
    if np.ptp(other - baseline) < ROUNDING:
        return np.nan, np.nan
    result = stats.ttest_rel(other, baseline)
    return float(result.statistic), float(result.pvalue)


def describe(table: pd.DataFrame, run_names: tuple[str, str], subjects: int) -> str:
    """The table for the terminal, and what its marks and nans mean."""
    shown = pd.DataFrame(index=table.index)
    for run, name in zip(("baseline", "other"), run_names, strict=True):
        mean, std = table[f"{run}_mean"], table[f"{run}_std"]
        shown[name] = mean.map("{:.3f}".format) + " ± " + std.map("{:.3f}".format)
    shown["difference"] = table["difference"].map("{:+.3f}".format)
    shown["t"] = table["t"].map("{:.2f}".format)
    shown["p"] = table["p"].map("{:.2g}".format)
    shown[""] = table["mark"]
    lines = [shown.to_string(), f"mean ± standard deviation of {subjects} subjects"]
    if subjects == 1:
        lines[1] = "One subject: there is no t-test, so t and p are nan"
    else:
        lines.append("** p < 0.01, * p < 0.05: two-sided paired t-test, either run may be better")
        if table["t"].isna().any():
            lines.append("nan: all subjects differ by the same amount, so there is no t-test")
    return "\n".join(lines)


def write(
    baseline: EvaluatedRun, other: EvaluatedRun, table: pd.DataFrame, out_dir: Path
) -> list[Path]:
    """Writes comparison.csv, boxplots.png and, if both runs saved predictions, pictures.png.

    Returns:
        What was written.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    dice = table.loc["dice"]
    improved = dice["mark"].where(dice["difference"] > 0, "")
    scores = {
        region: tuple(run.scores["dice", region].to_numpy() for run in (baseline, other))
        for region in dice.index
    }
    written = [out_dir / name for name in ("comparison.csv", "boxplots.png")]
    write_file(written[0], table.to_csv().encode())
    write_file(written[1], boxplots.of_two_runs(scores, dict(improved), names(baseline, other)))
    pictures = out_dir / "pictures.png"
    pictures.unlink(missing_ok=True)  # An earlier one may show other label maps.
    if baseline.missing_predictions() or other.missing_predictions():
        return written
    records = open_record_set(Path(baseline.settings.records))
    columns = [records.manifest.modalities[0], "reference", *names(baseline, other)]
    classes = [c.name for c in records.manifest.classes]
    write_file(pictures, label_maps.draw(rows(baseline, other, records), columns, classes))
    return [*written, pictures]


def rows(baseline: EvaluatedRun, other: EvaluatedRun, records: RecordSet) -> list[label_maps.Row]:
    """Of each subject to draw, the slice of most classes: first modality, reference, both runs.

    Raises:
        UserError: see `label_maps.read_rows`.
    """
    titles = {subject: subject for subject in baseline.pictured}
    paths = {subject: [run.prediction(subject) for run in (baseline, other)] for subject in titles}
    found = label_maps.read_rows(records, titles, paths)
    return [replace(row, images=row.images[:1]) for row in found]


def names(baseline: EvaluatedRun, other: EvaluatedRun) -> tuple[str, str]:
    """See `runs.names`."""
    both = (baseline, other)
    first, second = runs.names([run.work_dir for run in both], [run.settings for run in both])
    return first, second


def _alike(run: EvaluatedRun) -> dict[str, set[str]]:
    """What two runs must have in common."""
    return {
        "record sets": {run.settings.records},
        "test subjects": set(run.scores.index),
        "classes and regions": {region for _, region in run.scores},
    }
