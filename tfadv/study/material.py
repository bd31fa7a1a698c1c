"""What a report is made of: a study, its results so far, its tests, and where its runs are."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tfadv.evaluation.criterion import Criterion
from tfadv.run.work_dir import WorkDir
from tfadv.study.plan import Study, Trial, all_trials, trial_folder
from tfrecords.reading.record_set import RecordSet


@dataclass(frozen=True)
class Material:
    """A study, what was measured, and where its trials are.

    Attributes:
        results: a row per run, subject and region.
        tests: `statistics.compare_lines` of them.
    """

    study: Study
    folder: Path
    records: RecordSet
    results: pd.DataFrame
    tests: pd.DataFrame

    @property
    def criterion(self) -> Criterion:
        """What chooses the epoch."""
        return Criterion.parse(self.study.score, self.records.manifest)

    @property
    def score(self) -> str:
        """The region whose scores come first."""
        return self.criterion.region

    @property
    def lines(self) -> list[str]:
        """Those with results, in the study's order."""
        return [line for line in self.study.lines if line in set(self.results["line"])]

    @property
    def regions(self) -> list[str]:
        """The score's first."""
        found = list(dict.fromkeys(self.results["region"]))
        return sorted(found, key=lambda region: region != self.score)

    @property
    def fractions(self) -> list[float]:
        """Those with results, the largest first."""
        return sorted(self.results["fraction"].unique(), reverse=True)

    @property
    def planned(self) -> list[Trial]:
        return all_trials(self.study, self.records.manifest.held_out_folds)

    @property
    def done(self) -> list[Trial]:
        """The trials in the results."""
        columns = ["line", "seed", "fraction", "fold"]
        found = set(self.results[columns].itertuples(index=False, name=None))
        return [
            trial
            for trial in self.planned
            if (trial.line, trial.seed, trial.fraction, "+".join(trial.split.test)) in found
        ]

    @property
    def at_most(self) -> list[Trial]:
        """Those at the largest fraction."""
        return [trial for trial in self.done if trial.fraction == self.fractions[0]]

    def work_dir(self, trial: Trial) -> WorkDir:
        return WorkDir(trial_folder(self.folder, trial))

    def amounts(self) -> dict[float, str]:
        """By fraction, the least first, its positive training subjects."""
        counts = self.results.groupby("fraction")["training_subjects"].agg(["min", "max"])
        return {
            fraction: f"{span(row['min'], row['max'])}\n({percent(fraction)})"
            for fraction, row in counts.iterrows()
        }


def percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def span(least: float, most: float) -> str:
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"
