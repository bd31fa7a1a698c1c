"""Imports run one way, from room to room; only some rooms import TensorFlow."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A file imports from its own room and from those of the lines below it. Rooms of one line do not
# know each other.
ORDER = (
    ("launch",),
    ("tfadv/study",),
    ("tfadv/training",),
    ("tfadv/evaluation",),
    ("tfadv/run",),
    ("tfadv/methods",),
    ("tfadv/inference",),
    ("tfadv/adversarial", "tfadv/networks", "tfadv/losses"),
    ("tfrecords/reading", "tfrecords/writing"),
    ("tfrecords/records",),
    ("tfrecords/sources",),
    ("tfrecords/geometry",),
    ("tfrecords/runners", "tfrecords/files"),
    ("tfrecords/errors",),
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
TENSORFLOW = {"tensorflow", "keras"}
# Imports of tensorflow and keras stand at the heads of files there, and nowhere else.
WITH_TENSORFLOW = ("tfadv/", "tfrecords/reading")


def room_of(path: str) -> str:
    """The room of a file or module, both written with slashes; "" of the packages themselves."""
    return next((room for room in LEVEL if f"{path}/".startswith(f"{room}/")), "")


def imported(path: Path) -> Iterator[str]:
    """What a file imports, at its head or within functions, as a/b/c."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.replace(".", "/") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            for alias in node.names:
                yield f"{node.module}.{alias.name}".replace(".", "/")


def files() -> list[Path]:
    return [
        f for top in ("tfadv", "tfrecords", "launch") for f in sorted((ROOT / top).rglob("*.py"))
    ]


def faults(path: str, names: Iterator[str]) -> list[str]:
    """Imports of a file that run the wrong way."""
    room = room_of(path.removesuffix(".py"))
    found = []
    for name in names:
        target = room_of(name)
        top = name.split("/")[0]
        if top in TENSORFLOW and not path.startswith(WITH_TENSORFLOW):
            found.append(f"{path} imports {top}")
        if target and target != room and LEVEL[room] >= LEVEL[target]:
            found.append(f"{path} imports {name}")
    return found


def test_every_file_is_in_a_room() -> None:
    packages = {"tfadv/__init__.py", "tfrecords/__init__.py"}
    names = {str(path.relative_to(ROOT)) for path in files()} - packages
    assert len(names) > 100
    assert [name for name in sorted(names) if not room_of(name.removesuffix(".py"))] == []


def test_imports_run_one_way() -> None:
    found = [
        fault
        for path in files()
        if path.parent.name not in ("tfadv", "tfrecords") or path.name != "__init__.py"
        for fault in faults(str(path.relative_to(ROOT)), imported(path))
    ]
    assert found == []


def test_wrong_ways_are_seen() -> None:
    assert faults("tfadv/evaluation/measures.py", iter(["tfadv/study/plan/Study"]))
    assert faults("tfadv/networks/kohl.py", iter(["tfadv/losses/dice"]))
    assert faults("tfrecords/records/views.py", iter(["tensorflow"]))
    assert faults("launch/train.py", iter(["tensorflow"]))
    assert not faults("tfadv/evaluation/measures.py", iter(["tfrecords/geometry/overlap", "numpy"]))
