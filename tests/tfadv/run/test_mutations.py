"""A run's files changed at random: refused in one line, or read as what they say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfadv import methods
from tfadv.evaluation.criterion import Criterion
from tfadv.run.run import Run, load_run
from tfadv.run.work_dir import VERSION, Progress, WorkDir
from tfrecords import files
from tfrecords.errors import UserError
from tfrecords.files import CHECKSUM, write_json
from tfrecords.reading.record_set import RecordSet, open_record_set

Mutated = Callable[[Any, np.random.Generator], Any]
COUNT = 300


@pytest.fixture
def work_dir(small_records: tuple[object, Path], tmp_path: Path) -> WorkDir:
    """Of a run that has finished three epochs, without its weights."""
    records: RecordSet = open_record_set(small_records[1])
    run = Run.new(methods.get("segan_s3_3c").configure("small"), records)
    found = WorkDir(tmp_path / "run")
    found.begin(run.settings)
    rows: list[dict[str, int | float]] = [{"epoch": e, "val_dice": 0.1 * e} for e in (1, 2, 3)]
    write_json(found.folder / "progress.json", Progress(3, 2, 0.2, rows), VERSION)
    return found


def entries(path: Path) -> dict[str, Any]:
    """Of a JSON file, without version and checksum."""
    content = json.loads(path.read_text())
    return {name: value for name, value in content.items() if name not in (files.VERSION, CHECKSUM)}


def use_settings(work_dir: WorkDir) -> None:
    """What every program asks of a run before it builds networks."""
    run = Run.open(work_dir.settings())
    Criterion.parse(run.settings.selected_by, run.manifest)
    assert run.subjects
    run.method.recipe(run.manifest)
    run.method.tiling(run.manifest)


def use_progress(work_dir: WorkDir) -> None:
    progress = work_dir.progress()
    assert 0 < progress.best_epoch <= progress.epochs == len(progress.history) == 3
    work_dir._write_tables(progress)


@pytest.mark.parametrize(
    ("name", "use", "least"),
    [("hyperparameters.json", use_settings, 0.8), ("progress.json", use_progress, 0.4)],
)
def test_a_changed_file_is_refused_or_can_be_used(
    work_dir: WorkDir, mutated: Mutated, name: str, use: Callable[[WorkDir], None], least: float
) -> None:
    path = work_dir.folder / name
    content = entries(path)
    use(work_dir)
    random = np.random.default_rng(0)
    messages = []
    for _ in range(COUNT):
        changed = mutated(content, random)
        if isinstance(changed, dict):
            write_json(path, changed, VERSION)  # Its checksum holds: what is wrong is the content.
        else:
            path.write_text(json.dumps(changed))
        try:
            use(work_dir)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > least * COUNT
    assert not [message for message in messages if "\n" in message]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "odd"}, r"hyperparameters\.json: method: "),
        ({"hyperparameters": {"odd": 1}}, r"hyperparameters\.json: hp\.odd: "),
        ({"hyperparameters": {}}, r"\.json: hyperparameters: expected accumulation, "),
        ({"test_folds": ["9"]}, r"expected the run's folds 9 as well, received 0, 1, 2: it was"),
    ],
)
def test_settings_that_no_run_has_are_one_line(
    work_dir: WorkDir, changes: dict[str, Any], message: str
) -> None:
    """And no flag of the program that reads them."""
    path = work_dir.hyperparameters
    write_json(path, entries(path) | changes, VERSION)
    with pytest.raises(UserError, match=message) as error:
        load_run(work_dir)
    assert type(error.value) is UserError
    assert "rain again in another --work_dir" in str(error.value)
