"""A CSV: `subject`, one column per modality, `label`, optionally `group` and `fold`.

Paths are relative to the CSV. `--data_dir` is the CSV, or a folder that holds a single one. Values
may be separated by commas, semicolons or tabs. Every label value found becomes a class; the group
that comes first in the CSV is the positive one, which importance sampling favours unless told
otherwise.

The fold `training` only trains: it neither validates nor tests.

With `--unlabelled`, a row with an empty `label` is a subject without a label map, whose `fold` does
not count.
"""

from pathlib import Path

import pandas as pd

from tfrecords.errors import UserError, about
from tfrecords.sources.subject import Dataset, Subject
from tfrecords.sources.tables import find_csv, read_rows

RESERVED = ("subject", "label", "group", "fold")


def find(data_dir: Path | None) -> Dataset:
    """All rows, each with a label map."""
    return _find(data_dir, unlabelled=False)


def find_with_unlabelled(data_dir: Path | None) -> Dataset:
    """All rows, of which some have no label map."""
    return _find(data_dir, unlabelled=True)


def _find(data_dir: Path | None, *, unlabelled: bool) -> Dataset:
    path = find_csv(data_dir, "table")
    rows = read_rows(path)
    modalities = tuple(column for column in rows.columns if column not in RESERVED)
    missing = [column for column in ("subject", "label") if column not in rows.columns]
    if missing or not modalities:
        raise UserError(
            f"{path}: expected the columns subject, label and one per modality, "
            f"received {list(rows.columns)!r:.300}"
        )
    needed = ["subject", "label", *modalities]
    if "group" in rows and rows["group"].notna().any():
        needed.append("group")
    _require_values(path, rows[needed], unlabelled)
    groups = rows["group"].fillna("all") if "group" in rows else pd.Series("all", rows.index)
    folds = rows["fold"].fillna("") if "fold" in rows else pd.Series("", rows.index)
    subjects = (
        Subject(
            row["subject"],
            tuple(path.parent / row[modality] for modality in modalities),
            path.parent / row["label"] if isinstance(row["label"], str) else None,
            str(group),
            str(fold),
        )
        for (_, row), group, fold in zip(rows.iterrows(), groups, folds, strict=True)
    )
    # Subjects without a label map do not decide which group is the positive one.
    ordered = dict.fromkeys(map(str, (*groups[rows["label"].notna()], *groups)))
    with about(path):
        return Dataset("table", modalities, (), tuple(subjects), groups=tuple(ordered))


def _require_values(path: Path, rows: pd.DataFrame, unlabelled: bool) -> None:
    empty = rows.isna()
    if unlabelled:
        empty["label"] = False
        if "group" in empty:  # Of subjects without a label map, it decides nothing.
            empty["group"] &= rows["label"].notna()
    if not empty.to_numpy().any():
        return
    row, number = (int(index[0]) for index in empty.to_numpy().nonzero())
    column = empty.columns[number]
    hint = ". Give --unlabelled to take subjects without a label map" if column == "label" else ""
    raise UserError(
        f"{path}: line {rows.index[row]}: expected a value for {column:.80}, received none{hint}"
    )
