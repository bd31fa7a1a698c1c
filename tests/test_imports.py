"""Imports run one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What the modules of a room may import of the project.
ALLOWED = {
    "tfrecords": {"tfrecords"},
    "tfadv/networks": {"tfadv.networks"},
    "tfadv/losses": {"tfadv.losses"},
    "tfadv/adversarial.py": set(),
    "tfadv/tiling.py": set(),
    "tfadv/targets.py": {"tfrecords"},
    "tfadv/methods": {
        "tfadv.methods",
        "tfadv.networks",
        "tfadv.losses",
        "tfadv.adversarial",
        "tfadv.targets",
        "tfadv.tiling",
        "tfrecords",
    },
    "tfadv": {"tfadv", "tfrecords"},
    "launch": {"launch", "tfadv", "tfrecords"},
}


def imported(path: Path) -> set[str]:
    """Project modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in {"tfadv", "tfrecords", "launch"}}


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_run_one_way(room: str) -> None:
    place = ROOT / room
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            assert any(f"{name}.".startswith(f"{ok}.") for ok in ALLOWED[room]), (path, name)
