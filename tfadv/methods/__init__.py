"""One room per paper. A room is a module here that declares METHODS, its named methods."""

import importlib
import pkgutil

from tfadv.methods.method import Method
from tfrecords.errors import UserError


def all_methods() -> dict[str, Method]:
    """Every named method by name. A fifth one is one new file."""
    rooms = (
        importlib.import_module(f"{__name__}.{room.name}")
        for room in pkgutil.iter_modules(__path__)
    )
    found = (method for room in rooms for method in getattr(room, "METHODS", ()))
    return {method.name: method for method in found}


def get(name: str) -> Method:
    """Raises UserError with the known names."""
    methods = all_methods()
    if name not in methods:
        raise UserError(f"--method: expected one of {', '.join(sorted(methods))}, received {name}")
    return methods[name]
