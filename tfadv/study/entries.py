"""What the entries of a study file may hold."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Annotated, TypeVar

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AfterValidator, ValidationError

LONGEST_NAME = 100  # Bytes: a folder's name has room for 255, and split, seed and fraction follow.

Value = bool | int | float | str
Entry = TypeVar("Entry", bound=Hashable)


def repeated(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry, count in Counter(entries).items() if count > 1]


def _different(entries: Sequence[Entry]) -> Sequence[Entry]:
    if again := repeated(entries):
        raise ValueError(f"expected different ones, received {again[0]} several times")
    return entries


def _different_as_written(fractions: Sequence[float]) -> Sequence[float]:
    if again := repeated(f"{fraction:g}" for fraction in fractions):
        raise ValueError(
            "expected numbers that differ in their first six digits, as the folders are named, "
            f"received {again[0]} several times"
        )
    return fractions


def _fit_for_a_folder(name: str) -> str:
    if not name.strip() or not name.isprintable() or set(name) & set("/\\"):
        raise ValueError(
            f"expected a name that a folder can have: letters, no slash, received {name!r}"
        )
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"expected at most {LONGEST_NAME} bytes, received {len(name.encode())}")
    return name


def _trains(hp: dict[str, Value]) -> dict[str, Value]:
    epochs = hp.get("epochs", 1)
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs: expected a whole number of at least 1, received {epochs}")
    return hp


Hyperparameters = Annotated[dict[str, Value], AfterValidator(_trains)]
LineName = Annotated[str, AfterValidator(_fit_for_a_folder)]
# TensorFlow's seed is one more, and at most 2^32 - 1.
Seed = Annotated[int, Ge(0), Lt(2**32 - 1)]
Seeds = Annotated[tuple[Seed, ...], MinLen(1), AfterValidator(_different)]
Fraction = Annotated[float, Gt(0), Le(1)]
Fractions = Annotated[tuple[Fraction, ...], MinLen(1), AfterValidator(_different_as_written)]
FoldNames = Annotated[tuple[str, ...], MinLen(1), AfterValidator(_different)]


def faults(error: ValidationError) -> str:
    """Every wrong entry with what is wrong with it, in one line."""
    return "; ".join(
        f"{_place(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors()
    )


def _place(location: Sequence[int | str]) -> str:
    """An entry as a reader of the file would call it: lines.adversarial.hp."""
    parts = [str(part) for part in location if part != "[key]"]
    return ".".join(part if part.isprintable() else repr(part) for part in parts)
