"""Sentences and tables of a report."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfadv.evaluation import measures
from tfadv.study import words


def test_directions_are_those_of_the_measures_shown() -> None:
    assert words.directions() == (
        "Higher is better for Dice, sensitivity, specificity; lower is better for 95 % Hausdorff "
        "distance (mm)."
    )


def test_no_direction_is_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "MEASURES", (measures.named("hausdorff95_mm"),))
    assert words.directions() == "Lower is better for 95 % Hausdorff distance (mm)."
    assert words.score_titles()[3:] == ["95 % Hausdorff distance (mm)"]


def sentence(**changes: Any) -> str:
    row = {"region": "x", "measure": "dice", "fraction": 0.5, "first": "a", "second": "b"}
    row |= {"subjects": 9, "difference": -0.25, "low": -0.5, "high": 0.125, "rank_biserial": -1.0}
    row |= {"seeds": 2, "seeds_low": np.nan, "seeds_high": np.nan}
    return words.sentence(pd.Series(row | {"wilcoxon_p": 0.001, "wilcoxon_p_holm": 0.02} | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "a is better than b by 0.250 (95 % interval -0.125 to 0.500, 9 subjects, corrected"),
        ({"wilcoxon_p_holm": 0.0001}, "corrected Wilcoxon p < 0.001)."),
        ({"measure": "hausdorff95_mm"}, "b is better than a by 0.2 (95 % interval -0.1 to 0.5"),
        ({"wilcoxon_p_holm": 0.06}, "no difference holds between a and b: 0.250 in favour of a ("),
        ({"rank_biserial": 0.5}, "the mean, 0.250 in favour of a, and the ranks point in opposite"),
        ({"wilcoxon_p": np.nan}, "a and b are 0.250 apart; no test (all subjects differ by the"),
        (
            {"seeds_low": -0.5, "seeds_high": -0.25},
            "p = 0.02; over 2 seeds and subjects 0.250 to 0.500).",
        ),
        (
            {"seeds_low": -0.5, "seeds_high": 0.25},
            "by 0.250 with these seeds, but others may say the opposite (",
        ),
        ({"difference": np.nan}, "a and b have no subject in common yet."),
    ],
)
def test_a_sentence_says_no_more_than_the_test(changes: dict[str, Any], said: str) -> None:
    assert sentence(**changes).startswith("x, ")
    assert said in sentence(**changes)
