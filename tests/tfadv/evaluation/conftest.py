"""Runs that are evaluated, written by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfadv.evaluation.runs import EvaluatedRun, read_run
from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir

SETTINGS = Settings("kohl_cross_entropy", {}, "records", ("0",), ("1",), ("2",))


def write_evaluated(
    folder: Path,
    dice: dict[str, Sequence[float]],
    components: Sequence[float] = (10, 20, 30),
    subjects: Sequence[str] = ("s0", "s1", "s2"),
    **settings: Any,
) -> EvaluatedRun:
    """A run whose mean Dice is that of all regions."""
    work_dir = WorkDir(folder)
    work_dir.begin(replace(SETTINGS, **settings))
    rows = [
        {"subject": subject, "group": "all", "fold": "2", "region": region, "dice": scores[number]}
        for number, subject in enumerate(subjects)
        for region, scores in dice.items()
    ]
    pd.DataFrame(rows).to_csv(work_dir.metrics, index=False)
    table = pd.DataFrame({"subject": subjects, "group": "all", "fold": "2"})
    table["mean_dice"] = np.mean(list(dice.values()), axis=0)
    table["components"] = components
    table.to_csv(work_dir.subjects, index=False)
    return read_run(work_dir)


@pytest.fixture
def evaluated() -> Callable[..., EvaluatedRun]:
    """Writes a run whose tables hold the given scores, and reads it."""
    return write_evaluated
