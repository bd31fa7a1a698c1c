"""Imports run one way, from room to room; only some rooms import TensorFlow."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A file imports from its own room and from those of the lines below it. Rooms of one line do not
# know each other.
ORDER = (
    ("launch",),
    ("tfadv/programs",),
    ("tfadv/study",),
    ("tfadv/training",),
    ("tfadv/evaluation",),
    ("tfadv/run",),
    ("tfadv/methods",),
    ("tfadv/inference",),
    ("tfadv/adversarial", "tfadv/networks", "tfadv/losses"),
    ("tfadv/players", "tfadv/loss_scaling"),
    ("tfrecords/reading", "tfrecords/writing"),
    ("tfrecords/records",),
    ("tfrecords/sources",),
    ("tfrecords/geometry",),
    ("tfrecords/cluster",),
    ("tfrecords/runners", "tfrecords/memory", "tfrecords/files", "tfrecords/names"),
    ("tfrecords/errors",),
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
TENSORFLOW = {"tensorflow", "keras"}
# Imports of tensorflow and keras stand at the heads of files there, and nowhere else.
WITH_TENSORFLOW = ("tfadv/", "tfrecords/reading")
# Programs answer --help at once: what imports TensorFlow, they import when they run.
WITHOUT_TENSORFLOW = ("tfadv/programs/",)
STARTS_IT = "tfadv/programs/start.py"


def room_of(path: str) -> str:
    """The room of a file or module, both written with slashes; "" of the packages themselves."""
    return next((room for room in LEVEL if f"{path}/".startswith(f"{room}/")), "")


def may_import_tensorflow(path: str) -> bool:
    somewhere = path.startswith(WITH_TENSORFLOW) and not path.startswith(WITHOUT_TENSORFLOW)
    return somewhere or path == STARTS_IT


def imported(path: Path, head: bool = False) -> Iterator[str]:
    """What a file imports, at its head or within functions as well, as a/b/c."""
    tree = ast.parse(path.read_text())
    for node in tree.body if head else ast.walk(tree):
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
        if top in TENSORFLOW and not may_import_tensorflow(path):
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


def test_programs_do_not_import_tensorflow_with_their_heads() -> None:
    programs = sorted((ROOT / "tfadv" / "programs").glob("*.py"))
    assert len(programs) > 10
    for path in programs:
        for name in imported(path, head=True):
            in_project = f"{name}/".startswith(("tfadv/", "tfrecords/"))
            assert not in_project or not may_import_tensorflow(name), f"{path} imports {name}"


def test_wrong_ways_are_seen() -> None:
    assert faults("tfadv/evaluation/measures.py", iter(["tfadv/study/plan/Study"]))
    assert faults("tfadv/networks/kohl.py", iter(["tfadv/losses/dice"]))
    assert faults("tfrecords/records/views.py", iter(["tensorflow"]))
    assert faults("launch/train.py", iter(["tensorflow"]))
    assert faults("tfadv/programs/train.py", iter(["keras"]))
    assert faults("tfadv/study/runner.py", iter(["tfadv/programs/cli"]))
    assert not faults("tfadv/evaluation/measures.py", iter(["tfrecords/geometry/overlap", "numpy"]))
