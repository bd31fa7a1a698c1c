"""Files of a BIDS dataset, by the parts of their names, and its tables."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tfrecords.errors import UserError, about
from tfrecords.sources.subject import LabelClass
from tfrecords.sources.tables import read_rows

NAME = re.compile(
    r"(?P<session>(?P<participant>sub-[^_]+)(?:_ses-[^_]+)?)(?P<entities>(?:_[A-Za-z]+-[^_]+)*)"
    r"_(?P<suffix>[A-Za-z0-9]+)\.nii(?:\.gz)?"
)
TABLE = re.compile(r"(?P<entities>(?:[A-Za-z]+-[^_]+_)*)dseg\.tsv")
# Of those of a mask, the one that says of what it is.
MASKED = "label-"
NOTHING = (None, "n/a")  # What a field of a table holds where it has no value.
UNKNOWN = "unknown"  # The group of participants of whom none is told.


class File(NamedTuple):
    """An image or a label map.

    Attributes:
        session: "sub-01_ses-pre", or "sub-01" where there are no sessions.
        entities: other parts of its name, such as "ce-gadolinium".
    """

    path: Path
    participant: str
    session: str
    entities: tuple[str, ...]
    suffix: str

    @property
    def kind(self) -> str:
        """What it is called in any session: "ce-gadolinium_T1w"."""
        return "_".join((*self.entities, self.suffix))


def named_files(paths: Iterable[Path]) -> Iterator[File]:
    """Those of BIDS' names, in the order of the names."""
    for path in sorted(paths):
        if match := NAME.fullmatch(path.name):
            entities = tuple(part for part in match["entities"].split("_") if part)
            yield File(path, match["participant"], match["session"], entities, match["suffix"])


def by_modality(images: Sequence[File]) -> dict[tuple[str, str], Path]:
    """Images by session and modality: the suffix, or the kind where a session has several of it.

    Raises:
        UserError: two images of a session have one name but for its ending.
    """
    counts = Counter((image.session, image.suffix) for image in images)
    several = {suffix for (_, suffix), count in counts.items() if count > 1}
    found: dict[tuple[str, str], Path] = {}
    for image in images:
        key = image.session, image.kind if image.suffix in several else image.suffix
        if key in found:
            raise UserError(
                f"{image.path}: expected one image of each name, received {found[key]}, too"
            )
        found[key] = image.path
    return found


def groups_of(table: Path) -> dict[str, str]:
    """By participant, in the table's order, the group; empty where none is told of anybody.

    Raises:
        UserError: the table cannot be read, or has no column participant_id.
    """
    if not table.is_file():
        return {}
    rows = read_rows(table)
    if "participant_id" not in rows:
        raise UserError(
            f"{table}: expected the column participant_id, received {list(rows.columns)!r:.300}"
        )
    if "group" not in rows or rows["group"].isin(NOTHING).all():
        return {}
    names = ("sub-" + str(name).removeprefix("sub-") for name in rows["participant_id"])
    groups = (UNKNOWN if group in NOTHING else str(group) for group in rows["group"])
    return dict(zip(names, groups, strict=True))


def classes_of(label: File, derivative: Path) -> tuple[LabelClass, ...]:
    """The classes of label maps of one kind; none where only the label maps tell them.

    Of a mask they are in its name, of others in the `dseg.tsv` in the derivative's folder whose
    name has most of theirs.

    Raises:
        UserError: the table is none of values and names.
    """
    if label.suffix == "mask":
        of = [e.removeprefix(MASKED) for e in label.entities if e.startswith(MASKED)]
        return (LabelClass("background", (0,)), LabelClass(of[0], (1,))) if of else ()
    found = {}
    for path in sorted(derivative.glob("*dseg.tsv")):
        match = TABLE.fullmatch(path.name)
        entities = {part for part in match["entities"].split("_") if part} if match else {""}
        if entities <= set(label.entities):
            found[len(entities)] = path
    return _read_classes(found[max(found)]) if found else ()


def _read_classes(table: Path) -> tuple[LabelClass, ...]:
    with about(table):
        rows = read_rows(table)
        if not {"index", "name"} <= set(rows.columns):
            raise UserError(
                f"expected the columns index and name, received {list(rows.columns)!r:.300}"
            )
        names = {}
        for line, value, name in zip(rows.index, rows["index"], rows["name"], strict=True):
            if not re.fullmatch("[0-9]{1,5}", str(value)) or name in NOTHING:
                raise UserError(
                    f"line {line}: expected a whole number and a name, received {value} and {name}"
                )
            names[int(value)] = name
        return tuple(LabelClass(n, (v,)) for v, n in sorted({0: "background", **names}.items()))
