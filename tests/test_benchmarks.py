"""Measuring turn by turn, on a clock that is set by the actions; and the program's entries."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.loading import load
from tests.tfadv import forked

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def measuring() -> ModuleType:
    return load(FOLDER / "measuring.py")


class Actions:
    """Two actions that take so many seconds, round by round, on a clock of their own."""

    def __init__(self, *seconds: list[float]) -> None:
        self.now_s = 0.0
        self.done = ""
        self._seconds = seconds

    def make(self, number: int) -> Any:
        left = iter(self._seconds[number])

        def action() -> None:
            self.now_s += next(left)
            self.done += str(number)

        return action


def measured(
    measuring: ModuleType,
    actions: Actions,
    goal: float,
    both: bool = True,
    usual: float | None = None,
) -> Any:
    @measuring.entry("one by another", goal, lambda: actions.now_s, usual)
    @contextmanager
    def some_name() -> Iterator[Any]:
        yield measuring.Pair(actions.make(0), actions.make(1) if both else None)
        actions.done += " cleaned up"

    return measuring.measure(some_name, 3)


@pytest.mark.parametrize(("goal", "verdict"), [(2.0, "met"), (1.9, "missed")])
def test_both_are_measured_in_turn_after_a_first_time(
    measuring: ModuleType, goal: float, verdict: str
) -> None:
    actions = Actions([99, 6, 4, 9], [99, 2, 4, 3])
    result = measured(measuring, actions, goal)
    assert actions.done == "01010101 cleaned up"
    # 4 over 2; of the rounds' ratios 3, 1, 3.
    assert (result.least, result.median) == (2, 3)
    assert str(result) == (
        f"| some_name | one by another | 4 / 2 | 2 | 3 | {goal:.3g} | {verdict} |"
    )
    assert str(result).count("|") == measuring.HEADER.splitlines()[0].count("|")


@pytest.mark.parametrize(("usual", "worse"), [(None, False), (1.34, False), (1.33, True)])
def test_a_ratio_is_worse_than_usual_by_a_half(
    measuring: ModuleType, usual: float | None, worse: bool
) -> None:
    actions = Actions([99, 6, 4, 9], [99, 2, 4, 3])  # The least ratio is 2.
    assert measured(measuring, actions, goal=9, usual=usual).worse == worse


@pytest.mark.parametrize(("second_s", "worse"), [(6, False), (8, True)])
def test_what_is_worse_is_measured_once_more(
    measuring: ModuleType, second_s: float, worse: bool
) -> None:
    now_s, taken_s = 0.0, iter([99, 9, 99, second_s])

    def action() -> None:
        nonlocal now_s
        now_s += next(taken_s)

    @measuring.entry("seconds", 99, lambda: now_s, 5)
    @contextmanager
    def some_name() -> Iterator[Any]:
        yield measuring.Pair(action)

    assert measuring.watch(some_name, 1).worse == worse
    assert not list(taken_s)


def test_without_a_reference_it_is_seconds(measuring: ModuleType) -> None:
    result = measured(measuring, Actions([99, 6, 4, 9]), 5, both=False)
    assert str(result) == "| some_name | one by another | 4 | 4 s | 6 s | 5 s | met |"


@pytest.mark.slow
def test_the_program_measures_what_it_lists() -> None:
    def run(*flags: str) -> subprocess.CompletedProcess[str]:
        return forked.run(FOLDER / "run.py", flags)

    names = [line.split(":")[0] for line in run("--list").stdout.splitlines()]
    assert {"predict_over_network", "windows_nothing", "reading_crops"} <= set(names)
    found = run("windows_nothing", "--rounds", "1")
    (line,) = found.stdout.splitlines()[2:]
    assert line.startswith("| windows_nothing | ")
    assert (found.returncode == 0) == line.endswith("| met |")
    assert run("nothing_of_this_name").returncode == 2
