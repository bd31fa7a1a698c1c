"""Runs beside each other: their scores, what they are called, and whether they can be compared."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from tfadv.evaluation.tables import evaluation_of, read_table
from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError

PICTURED = 4
NAMED = 5


@dataclass(frozen=True)
class EvaluatedRun:
    """A run with its scores.

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
        command = f"{evaluation_of(self.work_dir)} --folds {','.join(self.folds)}"
        return (
            f"{self.work_dir.predictions}: no label maps of the subjects to draw. Run {command} "
            "--save_predictions"
        )


def read_run(work_dir: WorkDir) -> EvaluatedRun:
    """Raises UserError where there is no run, or it is not evaluated."""
    settings = work_dir.settings()
    by_region = read_table(work_dir, work_dir.metrics, ["subject", "region"], ["dice"])["dice"]
    subjects = read_table(
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
            f"received different ones. Run {evaluation_of(work_dir)}"
        )
    return EvaluatedRun(work_dir, settings, scores, tuple(sorted(set(subjects["fold"]))))


def names(work_dirs: Sequence[WorkDir], settings: Sequence[Settings]) -> list[str]:
    """The runs' methods, or their folders where several are of one method."""
    methods = [each.method for each in settings]
    if len(set(methods)) == len(methods):
        return methods
    return [str(work_dir.folder) for work_dir in work_dirs]


def lines(work_dirs: Sequence[WorkDir], settings: Sequence[Settings]) -> dict[str, list[int]]:
    """The runs by line, which is all that differ in their seed alone: its name, and their places.

    A line is called as its method, or as its first folder where several lines are of one method.
    """
    found: list[list[int]] = []
    for place, each in enumerate(settings):
        for line in found:
            seeds = {settings[other].seed for other in line}
            first = settings[line[0]]
            if each.seed not in seeds and replace(each, seed=first.seed) == first:
                line.append(place)
                break
        else:
            found.append([place])
    firsts = [line[0] for line in found]
    called = names([work_dirs[first] for first in firsts], [settings[first] for first in firsts])
    return dict(zip(called, found, strict=True))


def require_comparable(
    runs: Sequence[tuple[WorkDir, Mapping[str, Collection[str]]]], remedy: str
) -> None:
    """Raises UserError where a run differs from the first one.

    Args:
        runs: each with what must be the same in all, by what it is: "test folds" and their names.
        remedy: what the user can do.
    """
    first, wanted = runs[0]
    for work_dir, found in runs[1:]:
        differing = [
            f"{what}: {_few(set(names) - set(found[what]))} and "
            f"{_few(set(found[what]) - set(names))} alone"
            for what, names in wanted.items()
            if set(names) != set(found[what])
        ]
        if differing:
            raise UserError(
                f"{first.folder} and {work_dir.folder}: expected runs on one record set, tested on "
                f"the same subjects. They differ in {'; '.join(differing)}. {remedy}"
            )


def _few(found: Iterable[str]) -> str:
    """The first few names and the number of others; "none"."""
    ordered = sorted(found)
    more = [f"{len(ordered) - NAMED} more"] if len(ordered) > NAMED else []
    return ", ".join([*ordered[:NAMED], *more]) or "none"
