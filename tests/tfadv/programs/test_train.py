"""Training as a user runs it, killed and resumed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

Small = tuple[object, Path]
Launch = Callable[..., subprocess.CompletedProcess[str]]


def training(records: Path, work_dir: Path, *more: object) -> list[object]:
    return [
        *("--method", "kohl_purely_adversarial", "--preset", "small", "--deterministic"),
        *("--records", records, "--work_dir", work_dir, "--epochs", 3, "--steps_per_epoch", 4),
        *("--hp.batch_size=2", "--hp.width=4", "--hp.discriminator_width=4", *more),
    ]


def arrays(work_dir: Path) -> dict[str, np.ndarray]:
    """Everything in the last checkpoint, optimizers included."""
    (path,) = work_dir.glob("checkpoints/epoch-0003.weights.h5")
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


@pytest.mark.slow
def test_killed_training_ends_with_the_same_weights(
    small_records: Small, tmp_path: Path, command: Callable[..., list[str]], launch: Launch
) -> None:
    """SIGKILL after the first epoch, at whatever moment."""
    records = small_records[1]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = launch("train", *training(records, whole))
    assert done.returncode == 0, done.stderr
    assert f"Next: python launch/evaluate.py --work_dir {whole}" in done.stdout
    process = subprocess.Popen(
        command("train", *training(records, killed)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline_s = time.monotonic() + 300
    while not (killed / "progress.json").is_file() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (killed / "progress.json").is_file()
    resumed = launch("train", *training(records, killed))
    assert resumed.returncode == 0, resumed.stderr
    one, two = arrays(whole), arrays(killed)
    assert one.keys() == two.keys()
    assert any("optimizer" in name for name in one)
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)
    assert (whole / "history.csv").read_text() == (killed / "history.csv").read_text()
