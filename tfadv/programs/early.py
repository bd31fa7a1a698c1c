"""Mistakes that are told before TensorFlow starts, which takes seconds."""

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path

from tfrecords.errors import SettingError, UserError

RUN = "a run made by launch/train.py"
MODEL = "a model made by launch/export.py"
RECORDS = "a record set made by launch/preprocess.py"


def require_there(what: str, *paths: Path) -> None:
    """Raises UserError for the first of the paths where there is nothing."""
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder; expected {what}")


def require_method(name: str) -> None:
    """Raises SettingError, with the known names, where no method is called so."""
    known = sorted(method_names())
    if name not in known:
        alike = difflib.get_close_matches(name, known, 1)
        meant = f". Did you mean {alike[0]}?" if alike else ""
        raise SettingError("method", f"expected one of {', '.join(known)}, received {name}{meant}")


def method_names() -> Iterator[str]:
    """What classes in `tfadv/methods` call themselves, read: importing them takes TensorFlow."""
    for path in sorted(Path(__file__).parents[1].joinpath("methods").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            for line in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "name":
                    yield ast.literal_eval(line.value)
