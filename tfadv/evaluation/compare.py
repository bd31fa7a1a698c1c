"""Two evaluated runs on the same test subjects, side by side, as in Moeskops et al. 2017, 3.2."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from tfadv.evaluation import figures
from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError
from tfrecords.files import write_file
from tfrecords.geometry.nifti import read
from tfrecords.geometry.resample import to_working
from tfrecords.reading.record_set import (
    RecordSet,
    SubjectVolume,
    open_record_set,
    subject_volumes,
)
from tfrecords.records.manifest import Manifest, SubjectRecord
from tfrecords.sources.subject import class_indices

# Differences closer than this are one: Dice coefficients are ratios of voxel counts.
ROUNDING = 1e-12
PICTURED = 4
NAMED = 5


@dataclass(frozen=True)
class Run:
    """An evaluated run.

    Attributes:
        scores: a row per subject, ordered by name, and a column per (measure, region): ("dice",
            each class or region), ("mean_dice", "all") and ("components", "all").
        folds: that were evaluated.
    """

    work_dir: WorkDir
    settings: Settings
    scores: pd.DataFrame
    folds: tuple[str, ...]

    @property
    def pictured(self) -> list[str]:
        """The subjects to draw: the first few by name."""
        return list(self.scores.index[:PICTURED])

    def prediction(self, subject: str) -> Path:
        return self.work_dir.predictions / f"{subject}.nii.gz"

    def missing_predictions(self) -> str:
        """One line that says how to save the label maps to draw, or "" where all are there."""
        if all(self.prediction(subject).is_file() for subject in self.pictured):
            return ""
        command = f"{_evaluation(self.work_dir)} --folds {','.join(self.folds)} --save_predictions"
        return f"{self.work_dir.predictions}: no label maps of the subjects to draw. Run {command}"


def read_run(work_dir: WorkDir) -> Run:
    """Raises UserError where there is no run, or it is not evaluated."""
    settings = work_dir.settings()
    by_region = _table(work_dir, work_dir.metrics, ["subject", "region"], ["dice"])["dice"]
    subjects = _table(
        work_dir, work_dir.subjects, ["subject", "fold"], ["mean_dice", "components"]
    ).reset_index("fold")
    dice = by_region.unstack("region")
    regions = by_region.index.get_level_values("region").unique()
    columns = {("dice", region): dice[region] for region in regions}
    columns |= {(measure, "all"): subjects[measure] for measure in ("mean_dice", "components")}
    scores = pd.DataFrame(columns).sort_index()
    if scores.isna().any(axis=None):  # What an evaluation that was killed may leave.
        raise UserError(
            f"{work_dir.metrics}, {work_dir.subjects}: expected the same subjects in both, "
            f"received different ones. Run {_evaluation(work_dir)}"
        )
    return Run(work_dir, settings, scores, tuple(sorted(set(subjects["fold"]))))


def names(baseline: Run, other: Run) -> tuple[str, str]:
    """The runs' methods, or their folders where both are of one method."""
    if baseline.settings.method != other.settings.method:
        return baseline.settings.method, other.settings.method
    return str(baseline.work_dir.folder), str(other.work_dir.folder)


def compare(baseline: Run, other: Run) -> pd.DataFrame:
    """A row per measure and region: both runs, the mean difference and a paired t-test.

    Returns:
        The index is (measure, region). Standard deviations are those of the subjects at hand
        (divided by their number). `difference` is other minus baseline; t and p are of
        `paired_t_test`; `mark` is ** for p < 0.01 and * for p < 0.05, whichever run is better.

    Raises:
        UserError: the runs differ in record set, test subjects or regions.
    """
    _require_comparable(baseline, other)
    rows = {}
    for column in baseline.scores:
        first = baseline.scores[column].to_numpy()
        second = other.scores[column].to_numpy()
        t, p = paired_t_test(first, second)
        rows[column] = {
            "baseline_mean": first.mean(),
            "baseline_std": first.std(),
            "other_mean": second.mean(),
            "other_std": second.std(),
            "difference": second.mean() - first.mean(),
            "t": t,
            "p": p,
            "mark": "**" if p < 0.01 else "*" if p < 0.05 else "",
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
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


def write(baseline: Run, other: Run, table: pd.DataFrame, out_dir: Path) -> list[Path]:
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
    write_file(written[1], figures.boxplots(scores, dict(improved), names(baseline, other)))
    pictures = out_dir / "pictures.png"
    pictures.unlink(missing_ok=True)  # An earlier one may show other label maps.
    if baseline.missing_predictions() or other.missing_predictions():
        return written
    records = open_record_set(Path(baseline.settings.records))
    columns = [records.manifest.modalities[0], "reference", *names(baseline, other)]
    classes = [c.name for c in records.manifest.classes]
    write_file(pictures, figures.label_maps(slices(baseline, other, records), columns, classes))
    return [*written, pictures]


def slices(baseline: Run, other: Run, records: RecordSet) -> list[figures.Slice]:
    """Of each subject to draw, the slice of most classes: first modality, reference, both runs.

    Raises:
        UserError: the record set no longer holds these subjects, or a label map cannot be read.
    """
    origins = {subject.name: subject for subject in records.manifest.subjects}
    wanted = baseline.pictured
    unknown = [name for name in wanted if name not in origins]
    if unknown:
        raise UserError(
            f"{records.folder}: expected the subjects {', '.join(unknown)}, which were evaluated; "
            "it has been made anew without them. Train and evaluate both runs again"
        )
    found = {}
    for volume in subject_volumes(records, sorted({origins[name].fold for name in wanted})):
        if volume.subject in wanted:
            paths = [run.prediction(volume.subject) for run in (baseline, other)]
            found[volume.subject] = _slice(volume, paths, origins[volume.subject], records.manifest)
    return [found[name] for name in wanted]


def _slice(
    volume: SubjectVolume, predictions: list[Path], origin: SubjectRecord, manifest: Manifest
) -> figures.Slice:
    box = tuple(
        slice(start, start + extent)
        for start, extent in zip(volume.position, volume.label.shape, strict=True)
    )
    z = figures.slice_of_most_classes(volume.label)
    maps = [volume.label[z]]
    for path in predictions:
        label, grid = read(path)
        working = to_working(label, grid, origin.working, label=True)
        maps.append(class_indices(working[box][z], manifest.classes))
    x_mm, y_mm, _ = origin.working.spacing_mm
    return figures.Slice(volume.subject, volume.image[z, ..., 0], tuple(maps), y_mm / x_mm)


def _table(work_dir: WorkDir, path: Path, index: list[str], values: list[str]) -> pd.DataFrame:
    """Columns of numbers by names. No name is taken for a missing value, not even NA."""
    types = dict.fromkeys(index, str) | dict.fromkeys(values, float)
    try:
        table = pd.read_csv(path, usecols=list(types), dtype=types, keep_default_na=False)
        table = table.set_index(index)
        if not table.index.is_unique:
            raise ValueError("duplicate rows")
    except (FileNotFoundError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        raise UserError(
            f"{path}: expected the table of an evaluated run, received: {reason}. "
            f"Run {_evaluation(work_dir)}"
        ) from None
    return table


def _evaluation(work_dir: WorkDir) -> str:
    return f"python launch/evaluate.py --work_dir {work_dir.folder}"


def _require_comparable(baseline: Run, other: Run) -> None:
    differing = []
    if baseline.settings.records != other.settings.records:
        differing.append(f"record sets: {baseline.settings.records} and {other.settings.records}")
    for what, first, second in (
        ("test subjects", set(baseline.scores.index), set(other.scores.index)),
        (
            "classes and regions",
            {region for _, region in baseline.scores},
            {region for _, region in other.scores},
        ),
    ):
        if first != second:
            differing.append(f"{what}: {_few(first - second)} and {_few(second - first)} alone")
    if differing:
        raise UserError(
            f"{baseline.work_dir.folder} and {other.work_dir.folder}: expected runs on one record "
            f"set, evaluated on the same subjects. They differ in {'; '.join(differing)}. "
            f"Train on one record set, or evaluate with the same --folds"
        )


def _few(found: Iterable[str]) -> str:
    """The first few names and the number of others; "none"."""
    ordered = sorted(found)
    more = [f"{len(ordered) - NAMED} more"] if len(ordered) > NAMED else []
    return ", ".join([*ordered[:NAMED], *more]) or "none"
