"""Figures over the course of training, by the colours of their pixels."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors

from tests.tfadv.study.pixels import pixels, where
from tfadv.study import curves
from tfadv.study.figures import palette
from tfadv.study.readings import NUMBERS

COLOURS = palette(["a", "b", "c"])
pytestmark = pytest.mark.filterwarnings("error")


def by_epoch(column: str, values: dict[str, list[list[float]]]) -> pd.DataFrame:
    """By line, runs of values by epoch."""
    rows = [
        {"line": line, "epoch": epoch, column: value}
        for line, runs in values.items()
        for run in runs
        for epoch, value in enumerate(run, 1)
    ]
    return pd.DataFrame(rows)


def test_what_discriminators_say_lies_about_chance() -> None:
    said = by_epoch("true", {"b": [[0.5, 0.8, 0.9], [0.5, 0.7, 0.7]], "c": [[0.6, 0.6, 0.6]]})
    picture = pixels(curves.judgements(said.assign(generated=1 - said["true"])))
    chance = where(picture, "gray")[:, 0].mean()
    true, generated = where(picture, "tab:blue"), where(picture, "tab:orange")
    assert true[:, 0].mean() < chance < generated[:, 0].mean()
    band = curves.judgements(said.iloc[:3].assign(generated=0.1))
    assert len(where(pixels(band), "tab:blue"))


def test_bands_reach_from_run_to_run() -> None:
    """One line rises from 0 to 1. The other's runs are at 0.2 and 0.8: its mean is amid a band."""
    two = by_epoch("value", {"a": [[0.2, 0.2], [0.8, 0.8]], "b": [[0.0, 1.0]]})
    picture = pixels(curves.learning_curves(two, "Dice", palette("ab")))
    tinted = colors.to_hex(0.2 * np.array(colors.to_rgb(COLOURS["a"])) + 0.8)
    band, mean, rising = (where(picture, c) for c in (tinted, COLOURS["a"], COLOURS["b"]))
    assert np.ptp(band[:, 0]) == pytest.approx(0.6 * np.ptp(rising[:, 0]), rel=0.03)
    middle = (band[:, 0].min() + band[:, 0].max()) / 2
    assert mean[:, 0].mean() == pytest.approx(middle, abs=0.02)
    one = curves.learning_curves(two.iloc[:2], "Dice", palette("a"))
    assert not len(where(pixels(one), tinted))


def test_a_panel_for_each_axis() -> None:
    """Two lines of as many steps, one of which takes three times as long."""
    rows = by_epoch("value", {"a": [[0.2, 0.7]], "b": [[0.3, 0.8]]})
    rows["step"] = 100 * rows["epoch"]
    rows["minutes"] = rows["epoch"] * np.where(rows["line"] == "a", 1.0, 3.0)
    over = {"step": "steps", "minutes": "minutes"}
    picture = pixels(curves.learning_curves(rows, "Dice", palette("ab"), over))
    for panel, expected in zip(np.array_split(picture, 2, axis=1), (1, 1 / 3), strict=True):
        fast, slow = (np.ptp(where(panel, COLOURS[line])[:, 1]) for line in "ab")
        assert fast / slow == pytest.approx(expected, abs=0.05)


@pytest.mark.slow
def test_gradients_have_a_row_for_each_line_and_a_panel_for_each_number() -> None:
    """One term at chance, one above; a judge in the last column alone."""
    rows = [
        {"line": line, "step": step, "of": of, "what": what, "value": value}
        for line in ("one", "two")
        for step in (100, 200)
        for of, what, value in (
            ("a", "norm", 0.1),
            ("b", "norm", 1e-4),
            ("a", "towards_truth", 0.5),
            ("b", "towards_truth", 0.9),
            ("c", "auc", 0.9),
        )
    ]
    picture = pixels(curves.gradients(pd.DataFrame(rows)))
    found = {name: where(picture, colour) for name, colour in COLOURS.items()}
    assert found["c"][:, 1].min() > 1 - 1 / len(NUMBERS)
    norms, shares = (
        {name: places[within(places, column)] for name, places in found.items()}
        for column in (0, 4)
    )
    for upper in (True, False):
        a, b = (half(norms[name], upper) for name in "ab")
        assert a[:, 0].mean() < b[:, 0].mean()  # Higher.
        a, b = (half(shares[name], upper) for name in "ab")
        assert b[:, 0].mean() < a[:, 0].mean()
    assert not within(found["a"], 2).any()


def within(places: np.ndarray, column: int) -> np.ndarray:
    place = places[:, 1] * len(NUMBERS)
    return (column < place) & (place < column + 1)


def half(places: np.ndarray, upper: bool) -> np.ndarray:
    return places[(places[:, 0] < 0.5) == upper]


def test_readings_of_nothing_and_below_zero_are_drawn() -> None:
    rows = [
        {"line": "x", "step": step, "of": "a", "what": what, "value": value}
        for step in (100, 200)
        for what, value in (("norm", 0.0), ("cosine", -0.5), ("auc", np.nan))
    ]
    assert len(where(pixels(curves.gradients(pd.DataFrame(rows))), COLOURS["a"]))


def test_a_run_has_a_panel_for_each_number() -> None:
    """The last of four begins a second row."""
    values = {name: pd.Series([0.0, 1.0]) for name in "abcd"}
    picture = pixels(curves.panels(pd.Series([1, 2]), values))
    drawn = where(picture, COLOURS["a"])
    places = {(int(2 * y), int(3 * x)) for y, x in drawn}
    assert places == {(0, 0), (0, 1), (0, 2), (1, 0)}
