"""Performing one trial."""

import fcntl
from pathlib import Path

import pytest

from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfadv.study import runner
from tfadv.study.runner import perform
from tfrecords.errors import UserError

SETTINGS = Settings("kohl_cross_entropy", {}, "records", ("0",), ("1",), ("2",))


def test_a_run_is_not_performed_twice_at_once(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process"):
            perform(WorkDir(tmp_path), SETTINGS)
    assert not WorkDir(tmp_path).checkpoints.exists()


def test_a_longer_training_that_is_killed_leaves_no_old_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture, written last, says that a run is evaluated: see `is_finished`."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner.Run, "open", lambda settings: None)
    monkeypatch.setattr(runner.train, "train", killed)
    work_dir = WorkDir(tmp_path)
    work_dir.picture.touch()
    with pytest.raises(KeyboardInterrupt):
        perform(work_dir, SETTINGS)
    assert not work_dir.picture.exists()


def test_a_trial_leaves_with_its_study_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def stop(*_: object) -> None:
        done.append("train")
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "leave_with_parent", lambda: done.append("watch"))
    monkeypatch.setattr(runner.Run, "open", lambda settings: None)
    monkeypatch.setattr(runner.train, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        perform(WorkDir(tmp_path), SETTINGS)
    assert done == ["watch", "train"]
