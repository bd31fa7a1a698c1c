"""What hyperparameters may be, at their bounds."""

import math

import pytest

from tfadv.methods.checks import COUNT, POSITIVE, SHARE, Check, multiple_of, one_of
from tfadv.methods.checks import scales_with_critic as scales


@pytest.mark.parametrize(
    ("check", "value", "holds"),
    [
        (COUNT, 1, True),
        (COUNT, 0, False),
        (POSITIVE, 1e-9, True),
        (POSITIVE, 0.0, False),
        (POSITIVE, math.inf, False),
        (POSITIVE, math.nan, False),
        (SHARE, 0.0, True),
        (SHARE, 1.0, True),
        (SHARE, 1.01, False),
        (one_of("a", "b"), "b", True),
        (one_of("a", "b"), "c", False),
        (multiple_of(16), 32, True),
        (multiple_of(16), 0, False),
        (multiple_of(16), 100, False),
        (multiple_of(16, or_zero=True), 0, True),
        (scales("0123"), "13", True),
        (scales("0123"), "0", False),
        (scales("0123"), "31", False),
        (scales("0123"), "04", False),
    ],
)
def test_bounds(check: Check, value: float | str, holds: bool) -> None:
    assert check.holds(value) is holds


def test_examples_of_illegal_values_are_illegal() -> None:
    checks = (COUNT, POSITIVE, SHARE, one_of("a"), multiple_of(2), scales("0123"))
    assert not any(check.holds(value) for check in checks for value in check.illegal)
