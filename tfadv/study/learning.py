"""What a study's runs logged by epoch, over steps and minutes, and what more steps brought."""

import pandas as pd

from tfadv.evaluation.criterion import Criterion
from tfadv.study.material import Material

SHARES = {"a quarter of the steps": 4, "half": 2, "all": 1}  # And by what they divide.


def of_runs(material: Material) -> pd.DataFrame:
    """A row per finished run at the most training subjects and epoch: line, run, what was logged.

    And from the start of the run: step, and minutes, which are the mean of the line's runs; NaN
    where an epoch was not timed.
    """
    tables = []
    for trial in material.at_most:
        work_dir = material.work_dir(trial)
        progress, values = work_dir.progress(), work_dir.settings().hyperparameters
        table = pd.DataFrame(progress.history).assign(line=trial.line, run=trial.name)
        table["step"] = table["epoch"] * int(values["steps_per_epoch"])
        table["minutes"] = table["epoch"].map(progress.seconds).cumsum(skipna=False) / 60
        tables.append(table)
    logged = pd.concat(tables, ignore_index=True)
    logged["minutes"] = logged.groupby(["line", "epoch"])["minutes"].transform("mean")
    return logged


def so_far(logged: pd.DataFrame, criterion: Criterion) -> tuple[list[str], list[list[str]]]:
    """Titles, and a row per line: its best epoch's number so far, mean over runs.

    Where the last two differ little, the line has learned what it can.

    Args:
        logged: `of_runs`, with the criterion's key.
    """
    definition, rows = criterion.definition, []
    best = "min" if definition.better == "lower" else "max"
    for line, own in logged.groupby("line", sort=False):
        epochs = int(own["epoch"].max())
        means = [
            own[own["epoch"] <= epochs // by].groupby("run")[criterion.key].agg(best).mean()
            for by in SHARES.values()
        ]
        shown = ["" if pd.isna(mean) else f"{mean:.{definition.digits}f}" for mean in means]
        rows.append([str(line), *shown])
    return ["line", *(f"best after {share}" for share in SHARES)], rows
