"""What the entries of a study file may hold."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AfterValidator, Strict, ValidationError

from tfrecords.names import Entry, name_fault, repeated

Value = bool | int | float | str


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
    if fault := name_fault(name):
        raise ValueError(fault)
    return name


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"expected a line of text, received {text!r:.150}")
    return text


def _trains(hp: dict[str, Value]) -> dict[str, Value]:
    epochs = hp.get("epochs", 1)
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs: expected a whole number of at least 1, received {epochs}")
    return hp


Hyperparameters = Annotated[dict[str, Value], AfterValidator(_trains)]
Title = Annotated[str, AfterValidator(_one_line)]
FolderName = Annotated[str, AfterValidator(_fit_for_a_folder)]
# TensorFlow's seed is one more, and at most 2^32 - 1.
Seed = Annotated[int, Ge(0), Lt(2**32 - 1)]
Seeds = Annotated[tuple[Seed, ...], MinLen(1), AfterValidator(_different)]
Fraction = Annotated[float, Gt(0), Le(1)]
Fractions = Annotated[tuple[Fraction, ...], MinLen(1), AfterValidator(_different_as_written)]
Subjects = Annotated[int, Ge(1), Strict()]  # true is no number of subjects.
FoldNames = Annotated[tuple[FolderName, ...], MinLen(1), AfterValidator(_different)]


def faults(error: ValidationError) -> str:
    """Every wrong entry with what is wrong with it, in one line."""
    found = error.errors()
    # Without its wrong entries, a list may be too short, which is not what is wrong with it.
    causes = {fault["loc"][:-1] for fault in found if fault["loc"]}
    return "; ".join(
        f"{_place(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in found
        if fault["type"] != "too_short" or fault["loc"] not in causes
    )


def _place(location: Sequence[int | str]) -> str:
    """An entry as a reader of the file would call it: lines.adversarial.hp."""
    parts = [str(part) for part in location if part != "[key]"]
    return ".".join(part if part.isprintable() else repr(part) for part in parts)
