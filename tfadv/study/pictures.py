"""Which subjects' label maps a study shows, and which slice of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfadv.evaluation.label_maps import Row, read_rows, slice_of_most_classes
from tfadv.inference.targets import scored_regions
from tfrecords.names import MEAN
from tfrecords.reading.record_set import RecordSet


def chosen(dice: pd.DataFrame) -> dict[str, str]:
    """Subjects to draw, each with a title that says why.

    Args:
        dice: a row per subject, a column per line, the baseline first; no nan.

    Returns:
        At most four: those in which the second line differs from the first the most, the median
        and the least, and the one whose better Dice of the two is the lowest. Of a single line,
        its highest, median and lowest.
    """
    if len(dice.columns) == 1:
        ordered = dice.iloc[:, 0].sort_values(ascending=False)
        why = ("the highest Dice", "the median Dice", "the lowest Dice")
        return _merged(zip(_spread(ordered), why, strict=True))
    first, second = dice.columns[:2]
    ordered = (dice[second] - dice[first]).sort_values(ascending=False)
    why = (
        "largest gain" if ordered.iloc[0] > 0 else "smallest loss",
        "median difference",
        "largest loss" if ordered.iloc[-1] < 0 else "smallest gain",
    )
    worst = dice[[first, second]].max(axis=1).idxmin()
    reasons = [
        (subject, f"{reason} of {second} over {first}, {ordered[subject]:+.2f}")
        for subject, reason in zip(_spread(ordered), why, strict=True)
    ]
    return _merged([*reasons, (worst, f"{first} and {second} both do worst")])


def rows(
    records: RecordSet, paths: dict[str, list[Path]], titles: dict[str, str], score: str
) -> list[Row]:
    """Of each subject, the slice with most of a region in the reference.

    Args:
        paths: by subject, the predictions of all lines, on the source's grid.
        titles: by subject, in the order to draw.
        score: the region, or MEAN for all foreground.
    """
    members = scored_regions(records.manifest).get(score) if score != MEAN else None
    return read_rows(records, titles, paths, lambda labels: slice_of_most(labels, members))


def slice_of_most(labels: np.ndarray, members: Sequence[int] | None) -> int:
    """The axial slice of class indices [Z, Y, X] with most of these classes.

    Where there is none of them, or None is given, the one that shows most of all classes.
    """
    area = np.isin(labels, members if members is not None else ()).sum(axis=(1, 2))
    return int(np.argmax(area)) if area.any() else slice_of_most_classes(labels)


def _spread(ordered: pd.Series) -> tuple[str, str, str]:
    """The first, the middle and the last subject."""
    return ordered.index[0], ordered.index[len(ordered) // 2], ordered.index[-1]


def _merged(reasons: Iterable[tuple[str, str]]) -> dict[str, str]:
    merged: dict[str, list[str]] = {}
    for subject, reason in reasons:
        merged.setdefault(subject, []).append(reason)
    return {subject: f"{subject}: {'; '.join(found)}" for subject, found in merged.items()}
