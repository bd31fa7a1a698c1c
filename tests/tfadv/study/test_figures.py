"""Figures of a study, by the colours of their pixels."""

import numpy as np
import pandas as pd
import pytest

from tests.tfadv.study.pixels import pixels, where
from tfadv.evaluation.measures import MEASURES, named
from tfadv.study import figures

REPORTED = [measure for measure in MEASURES if measure.reported]
DICE = [named("dice")]
COLOURS = figures.palette(["a", "b", "c"])
pytestmark = pytest.mark.filterwarnings("error")


def scores(levels: dict[tuple[str, float], float]) -> pd.DataFrame:
    """Nine subjects about each line's level at each fraction."""
    random = np.random.default_rng(0)
    rows = [
        {"line": line, "fraction": fraction, "region": "x"}
        | dict.fromkeys([m.name for m in REPORTED], level + random.normal(0, 0.03))
        for (line, fraction), level in levels.items()
        for _ in range(9)
    ]
    return pd.DataFrame(rows)


def gains(*rows: tuple[str, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["line", "fraction", "gain"])
    return table.assign(region="x", measure="dice")


def test_less_data_stands_left_and_gains_below() -> None:
    table = scores({("a", 1.0): 0.8, ("a", 0.5): 0.3, ("b", 1.0): 0.8, ("b", 0.5): 0.6})
    png = figures.by_amount(
        table,
        gains(("b", 1.0, 0.0), ("b", 0.5, 100.0)),
        {0.5: "3", 1.0: "6"},
        DICE,
        figures.palette(["a", "b"]),
    )
    picture = pixels(png)
    upper, lower = np.split(picture, [int(0.6 * len(picture))])
    blue, orange = where(upper, COLOURS["a"]), where(upper, COLOURS["b"])
    left, right = blue[blue[:, 1] < 0.55], blue[blue[:, 1] > 0.55]
    assert left[:, 0].min() > right[:, 0].max()  # Worse with less.
    assert orange[:, 1].min() > left[:, 1].max()  # Beside the baseline.
    falling = where(lower, COLOURS["b"])
    assert falling[falling[:, 1] < 0.5, 0].mean() < falling[falling[:, 1] > 0.6, 0].mean()
    assert len(where(lower, COLOURS["a"]))  # The baseline at 0.


def test_an_undefined_gain_leaves_a_gap() -> None:
    table = scores({(line, f): 0.5 for line in "ab" for f in (1.0, 0.5, 0.25)})
    shown = {0.25: "1", 0.5: "3", 1.0: "6"}
    of = gains(("b", 1.0, 50.0), ("b", 0.5, 50.0), ("b", 0.25, np.nan))
    picture = pixels(figures.by_amount(table, of, shown, DICE, figures.palette("ab")))
    line = where(picture[int(0.6 * len(picture)) :], COLOURS["b"])
    assert line[:, 1].min() > 0.4
    assert line[:, 1].max() > 0.8


def test_lines_stand_below_each_other_in_every_region() -> None:
    levels = {("a", 1.0): 0.2, ("b", 1.0): 0.5, ("c", 1.0): 0.8}
    table = scores(levels)
    absent = table.assign(region="y", sensitivity=np.nan)
    picture = pixels(figures.by_region(pd.concat([table, absent]), ["x", "y"], REPORTED, COLOURS))
    # Of the first panel.
    panel = picture[:, : picture.shape[1] // 4]
    places = [where(panel, colour) for colour in COLOURS.values()]
    assert places[0][:, 1].max() < places[1][:, 1].min()
    assert places[1][:, 1].max() < places[2][:, 1].min()
    tops = [found[:, 0].min() for found in places]
    assert tops == sorted(tops)
    # The second panel's second region has none.
    width = picture.shape[1]
    sensitivity = where(picture[:, int(0.28 * width) : int(0.5 * width)], COLOURS["a"])
    assert len(sensitivity)
    assert sensitivity[:, 0].max() < 0.5
