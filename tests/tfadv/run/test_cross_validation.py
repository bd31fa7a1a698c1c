"""The folders of a cross-validation."""

import logging
import shutil
from pathlib import Path

import pytest

from tfadv import methods
from tfadv.run.cross_validation import (
    begin_all,
    fold_dirs,
    require_no_folds,
    runs_in,
    tell_of_unfinished,
)
from tfadv.run.run import Run
from tfadv.run.split import HeldOut
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet

SMALL = ["precision=float32", "convolutions=1", "batch_size=6", "epochs=2", "steps_per_epoch=20"]


def runs(folder: Path, records: RecordSet, *overrides: str) -> dict[WorkDir, Run]:
    method = methods.get("kohl_cross_entropy").configure("small", [*SMALL, *overrides])
    splits = fold_dirs(folder, records.manifest.held_out_folds)
    return {work_dir: Run.new(method, records, split) for work_dir, split in splits.items()}


def test_each_fold_is_held_out_in_a_folder_of_its_name(tmp_path: Path) -> None:
    found = {w.folder.name: split for w, split in fold_dirs(tmp_path, ("0", "1", "a")).items()}
    assert found == {
        "fold_0": HeldOut(("1",), ("0",)),
        "fold_1": HeldOut(("a",), ("1",)),
        "fold_a": HeldOut(("0",), ("a",)),
    }


def test_with_folds_that_always_test_the_others_validate(tmp_path: Path) -> None:
    found = {w.folder.name: s for w, s in fold_dirs(tmp_path, ("0", "1", "2"), ("1",)).items()}
    assert found == {"fold_0": HeldOut(("0",), ("1",)), "fold_2": HeldOut(("2",), ("1",))}


def test_all_begin_at_once_and_those_that_are_finished_are_kept(
    records: RecordSet, run: WorkDir, tmp_path: Path
) -> None:
    """The trained run is that of the last fold."""
    shutil.copytree(run.folder, tmp_path / "fold_2")
    with pytest.raises(UserError, match=r"other settings .*training_folds"):
        begin_all(tmp_path, runs(tmp_path, records))
    assert [path.name for path in tmp_path.iterdir()] == ["fold_2"]
    shutil.rmtree(tmp_path / "fold_2")

    (*_, last), planned = runs(tmp_path, records), runs(tmp_path, records)
    assert [w.folder.name for w in begin_all(tmp_path, planned)] == ["fold_0", "fold_1", "fold_2"]
    assert [w.folder for w in runs_in([tmp_path])] == [w.folder for w in planned]
    for path in (run.folder / "progress.json", *run.checkpoints.iterdir()):
        shutil.copy(path, last.folder / path.relative_to(run.folder))
    assert [w.folder.name for w in begin_all(tmp_path, planned)] == ["fold_0", "fold_1"]
    longer = runs(tmp_path, records, "epochs=3")
    assert len(begin_all(tmp_path, longer)) == 3
    assert last.settings().hyperparameters["epochs"] == 3


def test_a_finished_run_that_is_damaged_is_refused(
    records: RecordSet, run: WorkDir, tmp_path: Path
) -> None:
    (*_, last), planned = runs(tmp_path, records), runs(tmp_path, records)
    begin_all(tmp_path, planned)
    for path in (run.folder / "progress.json", *run.checkpoints.iterdir()):
        shutil.copy(path, last.folder / path.relative_to(run.folder))
    weights = sorted(last.checkpoints.iterdir())[-1]
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{weights}: checksum differs"):
        begin_all(tmp_path, planned)
    weights.unlink()
    with pytest.raises(UserError, match=rf"{weights}: no such file; the run is damaged"):
        begin_all(tmp_path, planned)


def test_a_run_and_a_cross_validation_do_not_share_a_folder(
    records: RecordSet, run: WorkDir, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="holds a single run, no cross-validation"):
        begin_all(run.folder, runs(run.folder, records))
    require_no_folds(run)
    begin_all(tmp_path, runs(tmp_path, records))
    with pytest.raises(UserError, match=r"holds a cross-validation\. Give --all_folds"):
        require_no_folds(WorkDir(tmp_path))


def test_what_is_not_finished_is_told(
    records: RecordSet, run: WorkDir, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begin_all(tmp_path, runs(tmp_path, records))
    with caplog.at_level(logging.WARNING, logger="absl"):
        tell_of_unfinished([run, WorkDir(tmp_path / "fold_1")])
    assert caplog.messages == [f"{tmp_path / 'fold_1'}: 0 of 2 epochs are finished"]


def test_a_run_that_is_gone_is_told_of(
    records: RecordSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begin_all(tmp_path, runs(tmp_path, records))
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert len(runs_in([tmp_path])) == 3
        assert caplog.messages == []
        shutil.rmtree(tmp_path / "fold_1")
        assert len(runs_in([tmp_path])) == 2
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path}: no run tests fold 1; launch/train.py --all_folds")


def test_folds_that_always_test_are_not_missed(
    records: RecordSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    method = methods.get("kohl_cross_entropy").configure("small", SMALL)
    splits = fold_dirs(tmp_path, records.manifest.held_out_folds, ("2",))
    begin_all(tmp_path, {w: Run.new(method, records, split) for w, split in splits.items()})
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert [w.folder.name for w in runs_in([tmp_path])] == ["fold_0", "fold_1"]
    assert caplog.messages == []
