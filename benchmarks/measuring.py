"""Measuring one action beside another, turn by turn within one run.

Other processes disturb a time, but they disturb both: ratios hold where seconds do not.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

Action = Callable[[], object]
WORSE = 1.5


class NotHereError(Exception):
    """What an entry needs is not on this machine; says how to get it."""


class Pair(NamedTuple):
    """What is measured, and what it is measured by; without, it is measured in seconds."""

    measured: Action
    reference: Action | None = None


@dataclass(frozen=True)
class Entry:
    """One line of the table.

    Attributes:
        what: is measured, and by what.
        goal: of the ratio, or of the seconds.
        prepared: makes the pair, and cleans up after it.
        clock: in seconds; of what runs beside its caller, that of the processors.
        usual: what a quiet machine measured last; None where nobody watches over it.
    """

    name: str
    what: str
    goal: float
    prepared: Callable[[], AbstractContextManager[Pair]]
    clock: Callable[[], float]
    usual: float | None


def entry(
    what: str,
    goal: float,
    clock: Callable[[], float] = time.perf_counter,
    usual: float | None = None,
) -> Callable[[Callable[[], AbstractContextManager[Pair]]], Entry]:
    """Makes an entry of a context manager that gives a pair; its name is the function's."""
    return lambda prepared: Entry(prepared.__name__, what, goal, prepared, clock, usual)


@dataclass(frozen=True)
class Result:
    """Of an entry: the seconds of each round."""

    entry: Entry
    measured_s: list[float]
    reference_s: list[float]

    @property
    def least(self) -> float:
        """The ratio of both minima, which disturbances reach least; or the least seconds."""
        return min(self.measured_s) / (min(self.reference_s) if self.reference_s else 1)

    @property
    def median(self) -> float:
        """The median of the rounds' ratios, or of the seconds."""
        if not self.reference_s:
            return median(self.measured_s)
        pairs = zip(self.measured_s, self.reference_s, strict=True)
        return median(measured / reference for measured, reference in pairs)

    @property
    def met(self) -> bool:
        return self.least <= self.entry.goal

    @property
    def worse(self) -> bool:
        """Whether it is WORSE times what it usually is."""
        return self.entry.usual is not None and self.least > WORSE * self.entry.usual

    def __str__(self) -> str:
        unit = "" if self.reference_s else " s"
        seconds = " / ".join(f"{min(s):.3g}" for s in (self.measured_s, self.reference_s) if s)
        return (
            f"| {self.entry.name} | {self.entry.what} | {seconds} | {self.least:.3g}{unit} | "
            f"{self.median:.3g}{unit} | {self.entry.goal:.3g}{unit} | "
            f"{'met' if self.met else 'missed'} |"
        )


HEADER = """| name | what | least s | minimum | median | goal | |
|---|---|---|---|---|---|---|"""


def measure(entry: Entry, rounds: int) -> Result:
    """Both actions in turn, once before the first round, which compiles and fills buffers."""
    with entry.prepared() as pair:
        actions = [action for action in pair if action]
        seconds: list[list[float]] = [[] for _ in Pair._fields]
        for number in range(1 + rounds):
            for action, times in zip(actions, seconds, strict=False):
                start = entry.clock()
                action()
                if number:
                    times.append(entry.clock() - start)
    return Result(entry, *seconds)


def watch(entry: Entry, rounds: int) -> Result:
    """Measured once more where it is worse: for once, something else may have been at it."""
    result = measure(entry, rounds)
    return measure(entry, rounds) if result.worse else result
