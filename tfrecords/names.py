"""Names: which may become those of files, which are given twice, and a few of many in a line."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

LONGEST = 100  # Bytes. A file's name has room for 255, and a shard's holds a fold's and a group's.
NAMED = 5  # Of many names, those that a line tells.
# What the mean over classes or regions is called, so that none of them may be.
MEAN = "mean"

Entry = TypeVar("Entry", bound=Hashable)


def name_fault(name: object, without: str = "") -> str | None:
    """Why a name cannot be one of a file or folder, None if it can.

    Args:
        without: characters that it must not have, besides slashes.
    """
    without = f"/\\{without}"
    if (
        isinstance(name, str)
        and name
        and name == name.strip()
        and name.isprintable()
        and not name.startswith((".", "-"))
        and not set(name) & set(without)
        and len(name.encode()) <= LONGEST
    ):
        return None
    return (
        f"expected a name of 1 to {LONGEST} bytes that a file can have, without any of "
        f"{' '.join(without)}, and with no '.', '-' or blank at its start, received {name!r:.150}"
    )


def repeated(entries: Iterable[Entry]) -> list[Entry]:
    """Those that occur several times, each once."""
    return [entry for entry, count in Counter(entries).items() if count > 1]


def shortened(names: Sequence[str]) -> str:
    """The first few, and how many more there are: "a, b and 3 more"."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def differences(wanted: Mapping[str, object], found: Mapping[str, object]) -> str:
    """Which entries of two mappings differ, and how: "a: 1 and 2"; "" where none does."""
    differing = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    return "; ".join(f"{name}: {wanted.get(name)} and {found.get(name)}" for name in differing)
