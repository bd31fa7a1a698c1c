"""Dice of trained runs on degraded test subjects (`degradations`), and at the worst (`attack`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from tfadv.evaluation import degradations, figures, measures, runs
from tfadv.evaluation.attack import Attacked, worst
from tfadv.evaluation.degradations import CLEAN
from tfadv.evaluation.norms import NORMS, Norm
from tfadv.evaluation.scoring import Segmented, score, segment_image
from tfadv.inference.targets import averaged_regions
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir
from tfrecords.files import write_file
from tfrecords.reading.record_set import subject_volumes
from tfrecords.records.manifest import Manifest, SubjectRecord

SEGMENTED = ["run", "degradation", "strength"]
Named = tuple[str, str, float, str]  # Run, degradation, strength and subject.


@dataclass(frozen=True)
class Scores:
    """What was measured.

    Attributes:
        table: `robustness.csv`, a row per run, degradation or norm of the worst case, strength,
            subject and region. The images as they are stored have the degradation CLEAN and the
            strength 0.
        averaged: the regions of the mean Dice.
        lines: runs that differ in their seed alone, by their common name; see `runs.lines`.
    """

    table: pd.DataFrame
    averaged: tuple[str, ...]
    lines: Mapping[str, Sequence[str]]

    def mean_dice(self) -> pd.Series:
        """Over `averaged`, by (run, degradation, strength, subject), in the table's order."""
        rows = self.table[self.table["region"].isin(self.averaged)]
        return rows.groupby([*SEGMENTED, "subject"], sort=False)["dice"].mean()

    def by_seed(self) -> dict[str, pd.DataFrame]:
        """By line, the mean over subjects: a row per degradation and strength, a column per run."""
        means = self.mean_dice().groupby(SEGMENTED, sort=False).mean()
        return {
            line: pd.DataFrame({run: means[run] for run in of}) for line, of in self.lines.items()
        }


def measure(
    work_dirs: Sequence[WorkDir], adversarial_steps: int = 0, subjects: int | None = None
) -> Scores:
    """Segments the runs' test subjects, degraded in every way, with each run's best epoch.

    Args:
        adversarial_steps: of each ascent on the worst case (`attack.worst`); 0 for none.
        subjects: how many of the test subjects, spread over the record set's order; None for all.

    Raises:
        UserError: no run in a folder, or runs that differ in record set or test folds.
    """
    settings = [work_dir.settings() for work_dir in work_dirs]
    runs.require_comparable(
        [
            (work_dir, {"record sets": {each.records}, "test folds": each.test_folds})
            for work_dir, each in zip(work_dirs, settings, strict=True)
        ],
        "Train on one record set with the same --test_folds",
    )
    names = runs.names(work_dirs, settings)
    loaded = [load_run(work_dir) for work_dir in work_dirs]
    predictors = {run: predictor for run, (*_, predictor) in zip(names, loaded, strict=True)}
    records, folds = loaded[0].run.records, settings[0].test_folds
    origins = {subject.name: subject for subject in records.manifest.subjects}
    norms = NORMS if adversarial_steps else {}
    attacked = {run: Attacked(predictors[run], records.manifest) for run in names if norms}
    images = 1 + sum(len(strengths) for _, strengths, _ in _degraded(norms))
    chosen = _spread([name for name, origin in origins.items() if origin.fold in folds], subjects)
    total = images * len(names) * len(chosen)
    rows = []
    with tqdm(total=total, desc="Segmenting", dynamic_ncols=True) as progress:
        for volume in subject_volumes(records, folds):
            if volume.subject not in chosen:
                continue
            origin = origins[volume.subject]
            x_mm, y_mm, z_mm = origin.working.spacing_mm
            for degradation, strength, image in degradations.variants(volume, (z_mm, y_mm, x_mm)):
                for run, predictor in predictors.items():
                    segmented = segment_image(predictor, image, volume, records.manifest)
                    named = (run, degradation, strength, volume.subject)
                    rows += _rows(named, segmented, origin, records.manifest)
                    progress.update()
            for run, name in product(attacked, norms):
                found = worst(attacked[run], volume, norms[name], adversarial_steps)
                for strength, label in found:
                    named = (run, name, strength, volume.subject)
                    rows += _rows(named, Segmented(volume, label), origin, records.manifest)
                    progress.update()
    table = pd.DataFrame(rows, columns=[*SEGMENTED, "subject", "region", "dice"])
    lines = runs.lines(work_dirs, settings)
    of = {line: [names[place] for place in places] for line, places in lines.items()}
    return Scores(table, averaged_regions(records.manifest), of)


def _spread(names: Sequence[str], count: int | None) -> set[str]:
    """This many of the names, the first and the last among them; all where there are fewer."""
    if count is None or count >= len(names):
        return set(names)
    return {names[index] for index in np.linspace(0, len(names) - 1, count).round().astype(int)}


def describe(scores: Scores) -> str:
    """Mean Dice: a row per degradation and strength, a column per line.

    Of one run mean and standard deviation over subjects, of several seeds their mean and range.
    """
    deviations = scores.mean_dice().groupby(SEGMENTED, sort=False).std(ddof=0)
    subjects = scores.table["subject"].nunique()
    columns, notes = {}, []
    for line, means in scores.by_seed().items():
        seeds = len(means.columns)
        mean, least, most, deviation = (
            numbers.map("{:.3f}".format)
            for numbers in (
                means.mean(axis=1),
                means.min(axis=1),
                means.max(axis=1),
                deviations[means.columns[0]],
            )
        )
        if seeds == 1:
            columns[line] = mean + " ± " + deviation
            notes.append(f"mean ± standard deviation of {subjects} subjects")
        else:
            columns[f"{line}, {seeds} seeds"] = mean + " (" + least + " to " + most + ")"
            notes.append(f"mean of {subjects} subjects and of seeds (smallest to largest seed)")
    table = pd.DataFrame(columns).to_string()
    return "\n".join([table, f"Dice, mean of {', '.join(scores.averaged)}", *dict.fromkeys(notes)])


def write(scores: Scores, out_dir: Path) -> list[Path]:
    """Writes robustness.csv and robustness.png; returns their paths."""
    out_dir.mkdir(parents=True, exist_ok=True)
    table, picture = out_dir / "robustness.csv", out_dir / "robustness.png"
    write_file(table, scores.table.to_csv(index=False).encode())
    write_file(picture, _curves(scores))
    return [table, picture]


def _curves(scores: Scores) -> bytes:
    by_line = {line: means.mean(axis=1) for line, means in scores.by_seed().items()}
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    measured = set(scores.table["degradation"])
    norms = {name: norm for name, norm in NORMS.items() if name in measured}
    for name, strengths, axis in _degraded(norms):
        points = [(CLEAN, 0.0), *((name, strength) for strength in strengths)]
        panels[axis] = {
            line: (np.array([0.0, *strengths]), means.loc[points].to_numpy())
            for line, means in by_line.items()
        }
    return figures.curves(panels, "mean Dice")


def _degraded(norms: Mapping[str, Norm]) -> Iterator[tuple[str, tuple[float, ...], str]]:
    """Name, strengths and axis of every degradation, and of these norms."""
    for name, degradation in degradations.DEGRADATIONS.items():
        yield name, degradation.strengths, degradation.axis
    for name, norm in norms.items():
        yield name, norm.strengths, norm.axis


def _rows(
    named: Named, segmented: Segmented, origin: SubjectRecord, manifest: Manifest
) -> list[tuple[str, str, float, str, str, float]]:
    """Dice by region, and of what."""
    scores = score(segmented, origin, manifest, [measures.named("dice")])
    return [(*named, region, of["dice"]) for region, of in scores.items()]
