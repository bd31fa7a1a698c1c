"""Worker processes: whose items are whose, and what is said of those that die."""

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from tfrecords import runners
from tfrecords.errors import UserError
from tfrecords.geometry.nifti import read
from tfrecords.runners import parallel_map


def test_every_item_gets_its_own_result() -> None:
    items = [-3, 1, -4, 1, -5, 9]
    assert dict(parallel_map(abs, items, 2, "Testing")) == dict(enumerate([3, 1, 4, 1, 5, 9]))
    assert list(parallel_map(abs, [], 2, "Testing")) == []


def test_a_workers_message_to_the_user_arrives(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        list(parallel_map(read, [tmp_path / "missing.nii"], 1, "Testing"))


def test_a_fault_of_ours_arrives_with_the_workers_traceback() -> None:
    with pytest.raises(TypeError) as raised:
        list(parallel_map(abs, ["a"], 1, "Testing"))
    assert "runners.py" in str(raised.value.__cause__)


def die(item: str) -> str:
    """Ends this process by the signal that the item names."""
    if item.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[item])
    return item.upper()


def die_once(path: Path) -> str:
    """Ends this process unless it has done so before."""
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGTERM)
    return path.name


def raise_memory_error(item: str) -> None:
    raise MemoryError(item)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["SIGSEGV", "SIGTERM", "SIGKILL"])
def test_only_the_item_that_ends_its_process_is_lost(
    end: str, caplog: pytest.LogCaptureFixture
) -> None:
    items = ["a", end, "b", "c"]
    found = dict(parallel_map(die, items, 2, "Testing", lost=lambda item, how: f"{item}: {how}"))
    how = f"{end}, probably for lack of memory" if end == "SIGKILL" else end
    assert found == {0: "A", 1: f"{end}: {how}", 2: "B", 3: "C"}
    warning = f"Testing: {end}: its process was ended by {how}; it is tried again alone"
    assert caplog.messages == [warning]


def test_an_item_that_ends_its_process_is_named_where_it_may_not_be_lost() -> None:
    found = []
    with pytest.raises(UserError) as raised:
        found += parallel_map(os._exit, [3], 1, "Testing", named="item {}".format)
    assert str(raised.value) == (
        "Testing: item 3: its process was ended by exit status 3, and again when it was alone. "
        "What is finished is kept"
    )


@pytest.mark.slow
def test_an_item_that_dies_beside_others_is_done_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "b").touch()
    items = [tmp_path / "a", tmp_path / "b"]
    assert dict(parallel_map(die_once, items, 1, "Testing")) == {0: "a", 1: "b"}
    assert [m.split("; ")[0] for m in caplog.messages] == [
        f"Testing: {items[0]}: its process was ended by SIGTERM"
    ]


def test_lack_of_memory_is_told_in_a_line() -> None:
    with pytest.raises(UserError, match=r"not enough memory .x.. .* fewer --workers"):
        list(parallel_map(raise_memory_error, ["x"], 1, "Testing"))


def test_no_worker_outlives_a_reader_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Worker(runners._Worker):  # type: ignore[type-arg]
        def __init__(self, function: object) -> None:
            super().__init__(function)  # type: ignore[arg-type]
            started.append(self.process)

    monkeypatch.setattr(runners, "_Worker", Worker)
    results = parallel_map(abs, [1, 2, 3, 4], 2, "Testing")
    next(results)
    results.close()
    assert [process.exitcode for process in started] == [0, 0]


def leave(path: Path) -> None:
    path.touch()


def test_workers_go_on_while_a_result_is_used(tmp_path: Path) -> None:
    """One ahead of their caller, and no further."""
    paths = [tmp_path / name for name in "abc"]
    with closing(parallel_map(leave, paths, 1, "Testing")) as results:
        next(results)
        start = time.monotonic()
        while not paths[1].exists() and time.monotonic() < start + 10:
            time.sleep(0.01)
        time.sleep(0.1)
        assert [path.exists() for path in paths] == [True, True, False]


def test_the_bar_tells_of_what_its_caller_is_done_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with closing(parallel_map(abs, [1, 2], 1, "Testing")) as results:
        next(results)
    assert "| 1/2 " not in capsys.readouterr().err
    assert len(list(parallel_map(abs, [1, 2], 1, "Testing"))) == 2
    assert "| 2/2 " in capsys.readouterr().err
