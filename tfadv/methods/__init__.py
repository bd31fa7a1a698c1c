"""One room per paper. A room is a module here that declares METHODS, its named methods."""

import importlib
import pkgutil

from tfadv.methods.method import Method
from tfrecords.errors import SettingError


def all_methods() -> dict[str, type[Method]]:
    """Every named method by name. A fifth paper is one new file."""
    rooms = (
        importlib.import_module(f"{__name__}.{room.name}")
        for room in pkgutil.iter_modules(__path__)
    )
    found = (method for room in rooms for method in getattr(room, "METHODS", ()))
    return {method.name: method for method in found}


def get(name: str) -> type[Method]:
    """Raises SettingError with the known names."""
    methods = all_methods()
    if name not in methods:
        raise SettingError(
            "method", f"expected one of {', '.join(sorted(methods))}, received {name}"
        )
    return methods[name]
