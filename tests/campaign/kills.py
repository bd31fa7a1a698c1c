"""Preprocessing and training killed at random moments, again and again, then let go on."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from tests.campaign.material import EPOCHS, PATCHES, Material, preprocess_flags, train_flags
from tests.campaign.mutations import Random
from tests.campaign.outcome import Outcome, Result, Trial, command, contents, launched

KILLS = 10  # Of one record set, of one run.
# Between a sign of life and the kill: before the first write, within it, between two.
PREPROCESSING_S = (0.0, 2.5)
TRAINING_S = (0.0, 1.5)
LIFE_S = 60.0  # A start without such a sign takes no longer.


def trials(material: Material, random: Random, share: float) -> Iterator[Trial]:
    for number in range(round(5 * share)):
        for name, run in (("preprocessing", _preprocessing), ("training", _training)):
            seed = int(random.integers(2**32))
            trial = partial(run, material, seed)
            yield Trial(f"{KILLS} kills of {name}", f"number {number}, seed {seed}", trial)


def _preprocessing(material: Material, seed: int, folder: Path) -> Result:
    """Its bytes, manifest included, are those of an undisturbed run."""
    flags = (*preprocess_flags(material.many, folder / "killed"), *PATCHES)
    return _killed(
        "preprocess",
        flags,
        np.random.default_rng(seed).uniform(*PREPROCESSING_S, KILLS),
        folder,
        lambda: contents(folder / "killed", "*") == contents(material.many_whole, "*"),
    )


def _training(material: Material, seed: int, folder: Path) -> Result:
    """Its weights, optimizers and history are those of an undisturbed run."""
    killed = folder / "killed"
    return _killed(
        "train",
        train_flags(material.records(), killed, EPOCHS),
        np.random.default_rng(seed).uniform(*TRAINING_S, KILLS),
        killed / "progress.json",
        lambda: _state(killed) == _state(material.run_whole),
    )


def _killed(
    program: str,
    flags: tuple[object, ...],
    after_s: np.ndarray,
    sign: Path,
    same: Callable[[], bool],
) -> Result:
    """Starts a program and kills it, as often as there are times, then lets it end.

    Args:
        sign: what the program changes early; each kill comes so many seconds after.
    """
    kills = 0
    for wait_s in after_s.tolist():
        process = subprocess.Popen(
            command(program, *flags),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        before, started_s = _changed_s(sign), time.monotonic()
        while _changed_s(sign) == before and time.monotonic() - started_s < LIFE_S:
            if process.poll() is not None:
                break
            time.sleep(0.02)
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            # The parent alone, as the system does: its workers have to end by themselves.
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    ended = launched(program, *flags)
    said = f"{kills} kills: {(ended.stderr.strip().splitlines() or [''])[-1]}"
    if ended.status is None:
        return Result(Outcome.HANG, said)
    if ended.status != 0:
        return Result(Outcome.CRASH, said)
    return Result(Outcome.HARMLESS if same() else Outcome.SILENT, said)


def _changed_s(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _state(work_dir: Path) -> tuple[str, dict[str, bytes]]:
    """History, and everything in the last checkpoint: h5 files hold the time they were made."""
    (path,) = work_dir.glob(f"checkpoints/epoch-{EPOCHS:04d}.weights.h5")
    found: dict[str, bytes] = {}

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tobytes()

    with h5py.File(path) as file:
        file.visititems(note)
    return (work_dir / "history.csv").read_text(), found
