"""Who is told of a run, and what becomes of a run whose tracker fails."""

from pathlib import Path
from typing import Any

import pytest

from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfadv.training.tracker import Tracking, find_tracker
from tfrecords.errors import SettingError

SETTINGS = Settings("a_method", {"width": 8}, "records", ("0",), ("1",), ("2",), seed=3)


class Tracker:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.said: list[Any] = [settings]

    def log(self, step: int, values: dict[str, float]) -> None:
        if step == 13:
            raise ConnectionError("no route")
        self.said.append((step, values))

    def finish(self) -> None:
        self.said.append("finished")


def test_it_is_told_the_settings_the_numbers_and_the_end(tmp_path: Path) -> None:
    tracking = Tracking(Tracker, SETTINGS, WorkDir(tmp_path))
    tracking.log(1, {"dice/mean": 0.5})
    tracker: Any = tracking.tracker
    tracking.finish()
    settings, *others = tracker.said
    assert (settings["method"], settings["width"], settings["seed"]) == ("a_method", 8, 3)
    assert settings["work_dir"] == str(tmp_path)
    assert others == [(1, {"dice/mean": 0.5}), "finished"]


def test_a_failure_is_told_once_and_ends_the_tracking(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracking = Tracking(Tracker, SETTINGS, WorkDir(tmp_path))
    tracker: Any = tracking.tracker
    for step in (12, 13, 14):
        tracking.log(step, {})
    tracking.finish()
    assert tracker.said[1:] == [(12, {})]
    (told,) = caplog.messages
    assert "the tracker failed (ConnectionError: no route) and is told no more" in told


def test_one_that_does_not_start_is_refused(tmp_path: Path) -> None:
    def start(settings: dict[str, Any]) -> Any:
        raise OSError("no server")

    with pytest.raises(SettingError, match=r"^tracker: .*start: OSError: no server$"):
        Tracking(start, SETTINGS, WorkDir(tmp_path))
    Tracking(None, SETTINGS, WorkDir(tmp_path)).log(1, {})


def test_functions_are_found_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_tracker_module.py").write_text("start = dict\nnumber = 3\n")
    assert find_tracker("my_tracker_module:start") is dict
    for name, reason in {
        "my_tracker_module:begin": "has no attribute 'begin'",
        "my_tracker_module:number": "my_tracker_module:number: 3",
        "no_such_module:start": "ModuleNotFoundError: No module named 'no_such_module'",
        "": "ValueError",
    }.items():
        with pytest.raises(SettingError, match="tracker: expected a function as module:function"):
            find_tracker(name)
        with pytest.raises(SettingError, match=reason):
            find_tracker(name)
