"""What the gradient microscope read in a study's runs, as tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

COLUMNS = ["line", "run", "step", "of", "what", "value"]
CHANCE = 0.5


class Number(NamedTuple):
    """What the microscope reads: its title, and its value where there is nothing to learn."""

    title: str
    nothing: float | None = None


NUMBERS = {
    "norm": Number("gradient of the weights"),
    "map_norm": Number("gradient at the map"),
    "cosine": Number("cosine to supervised", 0.0),
    "map_cosine": Number("cosine to truth - map", 0.0),
    "towards_truth": Number("towards the truth", CHANCE),
    "surer": Number("cosine to surer maps", 0.0),
    "auc": Number("AUC", CHANCE),
}


def of_lines(runs: Iterable[tuple[str, Sequence[Mapping[str, float]]]]) -> pd.DataFrame:
    """A row per number of the lines in which a term has another beside it, or a judge.

    A supervised term alone is its own measure: there is nothing to compare.

    Args:
        runs: a line and its `Progress.readings`, for each run.

    Returns:
        The columns of COLUMNS; `of` is a term or judge.
    """
    rows = [
        (line, number, reading["step"], *name.split("/")[1:], value)
        for number, (line, readings) in enumerate(runs)
        for reading in readings
        for name, value in reading.items()
        if name != "step"
    ]
    read = pd.DataFrame(rows, columns=COLUMNS)
    compared = read.loc[read["what"].isin(["cosine", "auc"]), "line"]
    return read[read["line"].isin(compared)]


def table(read: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Titles, and a row per line and term or judge: means over the second half of each run."""
    last = read.groupby("line")["step"].transform("max")
    late = read[read["step"] > last / 2]
    found = late.groupby(["line", "of", "what"], sort=False)["value"].mean().unstack()
    rows = [
        [line, of, *(_text(what, row.get(what)) for what in NUMBERS)]
        for (line, of), row in found.iterrows()
    ]
    return ["line", "term or judge", *(number.title for number in NUMBERS.values())], rows


def _text(what: str, value: float | None) -> str:
    if value is None or pd.isna(value):
        return ""
    return f"{value:.2g}" if what.endswith("norm") else f"{value:.3f}"
