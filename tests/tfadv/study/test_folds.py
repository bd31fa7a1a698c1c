"""The trainings of a cross-validation."""

import sys
from pathlib import Path

import pytest

from tfadv import methods
from tfadv.run.cross_validation import fold_dirs
from tfadv.run.run import Run
from tfadv.run.work_dir import WorkDir
from tfadv.study import processes
from tfadv.study.folds import train_all
from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet

# Instead of a training.
NOTE = "import sys; print(*sys.argv[1:], sep='\\n')"
FAIL = "import sys; sys.exit('error: too hot' if any('fold_1' in a for a in sys.argv) else 0)"


@pytest.fixture
def runs(records: RecordSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[WorkDir, Run]:
    monkeypatch.setattr(processes, "POLL_S", 0.02)
    method = methods.get("kohl_cross_entropy").configure("small")
    splits = fold_dirs(tmp_path / "all", records.manifest.held_out_folds)
    return {work_dir: Run.new(method, records, split) for work_dir, split in splits.items()}


def test_each_is_told_its_folds_and_folder(runs: dict[WorkDir, Run], tmp_path: Path) -> None:
    train_all(tmp_path / "all", runs, [sys.executable, "-c", NOTE, "--all_folds"])
    logs = {w.folder.name: (w.folder / processes.LOG).read_text().splitlines() for w in runs}
    assert logs["fold_2"] == [
        "--all_folds",
        "--noall_folds",
        f"--work_dir={tmp_path / 'all' / 'fold_2'}",
        "--validation_folds=0",
        "--test_folds=2",
    ]
    assert len(logs) == 3


def test_a_failure_is_named_after_the_others_have_ended(
    runs: dict[WorkDir, Run], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"1 runs failed; .* First: fold_1: error: too hot"):
        train_all(tmp_path / "all", runs, [sys.executable, "-c", FAIL])
    assert all((work_dir.folder / processes.LOG).is_file() for work_dir in runs)
