"""Tables that a user writes: finding and reading a CSV."""

import csv
import io
from pathlib import Path

import pandas as pd

from tfrecords.errors import SettingError, UserError
from tfrecords.names import repeated

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def find_csv(data_dir: Path | None, dataset: str, otherwise: str = "") -> Path:
    """`data_dir`, if it is a file, or the single CSV in it.

    Args:
        otherwise: what else `--data_dir` may be, for the message.

    Raises:
        UserError: neither.
    """
    if data_dir is not None and data_dir.is_file():
        return data_dir
    found = sorted(data_dir.glob("*.csv")) if data_dir is not None else []
    if len(found) != 1:
        raise SettingError(
            "data_dir",
            f"expected {otherwise}a CSV, or a folder with a single one, for --dataset "
            f"{dataset}, received {data_dir} with {[path.name for path in found]}",
        )
    return found[0]


def read_rows(path: Path) -> pd.DataFrame:
    """All values as text without blanks around it, None where there is none; the index is the line.

    Only an empty field is none: a subject may be called NA. The header tells which of SEPARATORS
    separates values. Empty lines, and empty fields that end a line, mean nothing.

    Raises:
        UserError: not to be read as CSV, columns of one name or without one, or a line with more
            values than there are columns.
    """
    (_, header), *lines = _lines(path)
    if repeated(header) or not all(name and name.isprintable() for name in header):
        raise UserError(f"{path}: expected columns of different names, received {header!r:.300}")
    for line, values in lines:
        if len(values) > len(header):
            raise UserError(
                f"{path}: line {line}: expected at most {len(header)} values, one for each column, "
                f"received {len(values)}"
            )
        values += [None] * (len(header) - len(values))
    numbers = [line for line, _ in lines]
    return pd.DataFrame([values for _, values in lines], numbers, header, dtype=object)


def _lines(path: Path) -> list[tuple[int, list[str | None]]]:
    """The number and the values of each line that has any."""
    try:
        text = path.read_text("utf-8-sig")
        reader = csv.reader(
            io.StringIO(text), delimiter=_separator(text), skipinitialspace=True, strict=True
        )
        lines = [(reader.line_num, _values(fields)) for fields in reader]
        found = [(line, values) for line, values in lines if values]
        if not found:
            raise ValueError("it is empty")
    except (ValueError, OSError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV in UTF-8 ({error})") from error
    return found


def _separator(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    found = [separator for separator in SEPARATORS if separator in header]
    if len(found) > 1:
        received = " and ".join(SEPARATORS[separator] for separator in found)
        raise ValueError(f"its header has {received}: expected one kind of separator, use commas")
    return found[0] if found else ","


def _values(fields: list[str]) -> list[str | None]:
    values = [field.strip() or None for field in fields]
    while values and values[-1] is None:
        values.pop()
    return values
