"""What a hyperparameter may be: bounds and choices, in words and as tests."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A rule for one value.

    Attributes:
        words: after "expected": "at least 1".
        holds: told the value, of the hyperparameter's type.
        illegal: values that it refuses, for tests.
    """

    words: str
    holds: Callable[[float | str], bool]
    illegal: tuple[float | str, ...]


def at_least(least: float) -> Check:
    """Finite and not below."""
    return Check(
        f"at least {least:g}",
        lambda value: isinstance(value, int | float) and least <= value < math.inf,
        (least - 1, -1e9, math.inf, math.nan),
    )


def between(least: float, most: float) -> Check:
    """Both ends included."""
    return Check(
        f"from {least:g} to {most:g}",
        lambda value: isinstance(value, int | float) and least <= value <= most,
        (least - 1, most + 1, math.nan),
    )


def one_of(*choices: str) -> Check:
    return Check(f"one of {', '.join(choices)}", lambda value: value in choices, ("", "nonsense"))


def multiple_of(divisor: int, *, or_zero: bool = False) -> Check:
    """Positive; zero as well where it says something of its own."""
    least = 0 if or_zero else 1
    return Check(
        f"a multiple of {divisor}" + (", or 0" if or_zero else ""),
        lambda value: isinstance(value, int) and value >= least and value % divisor == 0,
        (divisor + 1, -divisor, *(() if or_zero else (0,))),
    )


def scales_with_critic(digits: str) -> Check:
    """Some of the digits, each at most once and in order, not the first alone."""
    return Check(
        f"some of the digits {digits}, each once and in order, not {digits[0]} alone",
        lambda value: (
            isinstance(value, str)
            and bool(set(value) - {digits[0]})
            and list(value) == sorted(set(value))
            and set(value) <= set(digits)
        ),
        ("", "9", digits[::-1], digits[0], digits[1] * 2),
    )


NAMES = Check(
    "names with commas between them, or nothing",
    lambda value: isinstance(value, str) and (not value or all(value.split(","))),
    (",", "a,,b", ",a"),
)
POSITIVE = Check(
    "a positive number",
    lambda value: isinstance(value, int | float) and 0 < value < math.inf,
    (0, -1, math.inf, math.nan),
)
SHARE = between(0, 1)
COUNT = at_least(1)
ANY = Check("true or false", lambda value: isinstance(value, bool), ())
