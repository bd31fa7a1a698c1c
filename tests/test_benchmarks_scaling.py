"""Actions of other processes, and the table of how steps scale."""

import sys
from pathlib import Path

import pytest

from tests.loading import load

FOLDER = Path(__file__).parents[1] / "benchmarks"
OFFERED = """
import sys
sys.path.insert(0, sys.argv[1])
from workers import offer
with open(sys.argv[2], "a", buffering=1) as told:
    offer(lambda: print("done", file=told))
"""


def test_another_process_acts_when_it_is_called(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = [sys.executable, "-c", OFFERED, FOLDER, told]
    with load(FOLDER / "workers.py").worker(command) as action:
        assert told.read_text() == ""
        action()
        assert told.read_text() == "done\n"
        action()
    assert told.read_text() == "done\ndone\n"


def test_a_process_that_says_something_else_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no')"]
    with (
        pytest.raises(RuntimeError, match=r"-c print\('no'\): expected ready, received 'no'"),
        load(FOLDER / "workers.py").worker(command),
    ):
        pass


def test_scaling_counts_minibatches_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    scaling = load(FOLDER / "scaling.py")
    asked = []

    def least_seconds(name: str, settings: list[tuple[int, int]]) -> list[float]:
        asked.append((name, settings))
        return [4.0, 2.5, 2.0, 4.0, 8.0]

    monkeypatch.setattr(scaling, "least_seconds", least_seconds)
    scaling.table(["moeskops_fcn"], 4)
    assert asked == [("moeskops_fcn", [(1, 1), (2, 1), (4, 1), (4, 2), (4, 4)])]
    head, _, row, *_ = capsys.readouterr().out.splitlines()
    assert head == ("| method | threads: 1 | threads: 2 | threads: 4 | replicas: 2 | replicas: 4 |")
    assert row == (
        "| `moeskops_fcn` | 4.000 s (1.00) | 2.500 s (1.60) | 2.000 s (2.00) | "
        "4.000 s (2.00) | 8.000 s (2.00) |"
    )
