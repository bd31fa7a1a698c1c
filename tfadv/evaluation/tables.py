"""Tables of evaluated runs, read with a check."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError


def evaluation_of(work_dir: WorkDir) -> str:
    """The command that makes a run's tables."""
    return f"python launch/evaluate.py --work_dir {work_dir.folder}"


def read_table(
    work_dir: WorkDir, path: Path, index: Sequence[str], values: Sequence[str]
) -> pd.DataFrame:
    """Columns of numbers by names, each row of other ones. An empty cell is a number that is nan.

    No name is taken for a missing value, not even NA.

    Args:
        path: metrics.csv or subjects.csv of the run.

    Raises:
        UserError: no such table, without these columns, or with something else in them.
    """
    types = dict.fromkeys(index, str) | dict.fromkeys(values, float)
    missing = {value: [""] for value in values}
    try:
        table = pd.read_csv(
            path, usecols=list(types), dtype=types, keep_default_na=False, na_values=missing
        ).set_index(list(index))
        if table.empty:
            raise ValueError("no rows")
        if not table.index.is_unique:
            raise ValueError("duplicate rows")
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        raise UserError(
            f"{path}: expected the table of an evaluated run, received: {_one_line(reason)}. "
            f"Run {evaluation_of(work_dir)}"
        ) from None
    return table[list(values)]


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split())
