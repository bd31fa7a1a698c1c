"""Libraries log; only programs print."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def prints(text: str) -> list[int]:
    """Lines that call print."""
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    names = (call.func for call in calls)
    return [name.lineno for name in names if isinstance(name, ast.Name) and name.id == "print"]


def test_libraries_do_not_print() -> None:
    found = {}
    for top in ("tfadv", "tfrecords"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if not name.startswith("tfadv/programs/") and (lines := prints(path.read_text())):
                found[name] = lines
    assert found == {}


def test_calls_of_print_are_seen() -> None:
    assert prints("x = 1\nif x:\n    print(x)\nfingerprint(x)") == [3]
