"""Checkpoints and settings on disk."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfadv.adversarial import AdversarialModel
from tfadv.players import Players
from tfadv.run.settings import Settings
from tfadv.run.work_dir import Progress, WorkDir
from tfrecords.errors import UserError

ROOT = Path(__file__).parents[3]


def settings(**changed: Any) -> Settings:
    values: dict[str, Any] = {
        "method": "kohl_hybrid",
        "hyperparameters": {"epochs": 3, "width": 8},
        "records": "records/x",
        "training_folds": ("0",),
        "validation_folds": ("1",),
        "test_folds": ("2",),
        "seed": 0,
    }
    return Settings(**(values | changed))


def network(value: float) -> AdversarialModel:
    x = keras.Input((1,))
    model = keras.Model(x, keras.layers.Dense(1)(x))
    model.set_weights([np.full((1, 1), value), np.zeros(1)])
    return AdversarialModel(Players({"segmentor": model}, {}, ()))


def progress(epochs: int, best: int) -> Progress:
    rows = [{"epoch": e + 1, "val_dice": 0.1 * e} for e in range(epochs)]
    return Progress(epochs, best, 0.5, rows)


def test_settings_come_back(tmp_path: Path) -> None:
    WorkDir(tmp_path / "run").begin(settings())
    assert WorkDir(tmp_path / "run").settings() == settings()


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    work_dir = WorkDir(tmp_path)
    work_dir.begin(settings())
    other = settings(seed=1, hyperparameters={"epochs": 3, "width": 16})
    with pytest.raises(UserError, match="seed: 0 there, 1 given; width: 8 there, 16 given"):
        work_dir.begin(other)


def test_more_epochs_go_on(tmp_path: Path) -> None:
    work_dir = WorkDir(tmp_path)
    work_dir.begin(settings())
    work_dir.begin(settings(hyperparameters={"epochs": 9, "width": 8}))
    assert work_dir.settings().hyperparameters["epochs"] == 9


def test_last_and_best_are_kept_and_restored(tmp_path: Path) -> None:
    work_dir = WorkDir(tmp_path)
    work_dir.begin(settings())
    weights: dict[int, str] = {}
    for epoch in (1, 2, 3):
        saved = replace(progress(epoch, best=min(epoch, 2)), weights=weights)
        work_dir.save(network(epoch), saved)
        weights = saved.weights
    names = sorted(path.name for path in work_dir.checkpoints.iterdir())
    assert names == ["epoch-0002.weights.h5", "epoch-0003.weights.h5"]
    last, best = network(0), network(0)
    assert work_dir.restore(last) == saved
    assert set(saved.weights) == {2, 3}
    assert work_dir.restore_best(best) == 2
    assert last.get_weights()[0].item() == 3
    assert best.get_weights()[0].item() == 2
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,val_dice"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]


def test_weights_that_are_not_finite_do_not_replace_good_ones(tmp_path: Path) -> None:
    work_dir = WorkDir(tmp_path)
    work_dir.begin(settings())
    work_dir.save(network(1), progress(1, best=1))
    with pytest.raises(UserError, match=r"epoch 2: .*kernel is NaN or infinite"):
        work_dir.save(network(np.nan), progress(2, best=2))
    restored = network(0)
    assert work_dir.restore(restored).epochs == 1
    assert restored.get_weights()[0].item() == 1


def test_a_kill_before_progress_leaves_the_earlier_epoch(tmp_path: Path) -> None:
    """The weights of epoch 2 were written, the note of it was not."""
    work_dir = WorkDir(tmp_path)
    work_dir.begin(settings())
    work_dir.save(network(1), progress(1, best=1))
    network(2).save_weights(work_dir.checkpoints / "epoch-0002.weights.h5")
    (work_dir.checkpoints / ".1-epoch-0002.weights.h5").write_bytes(b"half")
    restored = network(0)
    assert work_dir.restore(restored).epochs == 1
    work_dir.save(network(5), progress(2, best=2))
    assert [p.name for p in work_dir.checkpoints.iterdir()] == ["epoch-0002.weights.h5"]


def test_errors_say_what_is_missing(tmp_path: Path) -> None:
    work_dir = WorkDir(tmp_path)
    with pytest.raises(UserError, match=r"hyperparameters.json: no such file.*train.py"):
        work_dir.settings()
    work_dir.begin(settings())
    with pytest.raises(UserError, match="no epoch is finished"):
        work_dir.restore_best(network(0))
    work_dir.save(network(1), progress(1, best=1))
    path = work_dir.checkpoints / "epoch-0001.weights.h5"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for restore in (work_dir.restore, work_dir.restore_best):
        with pytest.raises(UserError, match=r"epoch-0001.weights.h5: checksum differs"):
            restore(network(0))
    path.unlink()
    with pytest.raises(UserError, match=r"epoch-0001.weights.h5: cannot be loaded"):
        work_dir.restore(network(0))


def test_settings_are_readable_json(tmp_path: Path) -> None:
    WorkDir(tmp_path).begin(settings())
    content = json.loads((tmp_path / "hyperparameters.json").read_text())
    assert content["hyperparameters"] == {"epochs": 3, "width": 8}


FILLED = """
import resource, sys
from pathlib import Path
from tests.tfadv.run.test_work_dir import network, progress, settings
from tfadv.run.work_dir import WorkDir

work_dir = WorkDir(Path(sys.argv[1]))
work_dir.begin(settings())
work_dir.save(network(1), progress(1, best=1))
# A file cannot grow beyond this: to HDF5 the same as a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    work_dir.save(network(2), progress(2, best=2))
except OSError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_full_disk_leaves_the_earlier_epoch(tmp_path: Path) -> None:
    """HDF5 alone would end the process by a signal."""
    done = subprocess.run(
        [sys.executable, "-c", FILLED, tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "checkpoints") in done.stdout
    restored = network(0)
    assert WorkDir(tmp_path).restore(restored).epochs == 1
    assert restored.get_weights()[0].item() == 1
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["epoch-0001.weights.h5"]


def test_minutes_are_known_where_every_epoch_was_timed() -> None:
    two = progress(2, 1)
    assert math.isnan(replace(two, seconds={2: 30.0}).minutes)
    assert replace(two, seconds={1: 60.0, 2: 30.0}).minutes == 1.5
    assert two == replace(two, seconds={1: 1.0})
