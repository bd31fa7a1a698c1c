"""Preprocessing, training and cross-validation killed, again and again, then let go on."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tests.campaign import same
from tests.campaign.folds import runs_of, whole
from tests.campaign.material import (
    ALL_FOLDS,
    EPOCHS,
    PATCHES,
    Material,
    copied,
    preprocess_flags,
    train_flags,
)
from tests.campaign.mutations import Random
from tests.campaign.outcome import Outcome, Result, Trial, command, count, launched

IN_A_ROW = 10  # Of one record set, of one run.
EARLY = 0.2  # So many come before a sign of life.
LIFE_S = 300.0  # A start without such a sign takes no longer, beside much other work.
ORPHANS_S = 30.0  # Within which workers end after their parent.


@dataclass(frozen=True)
class Killed:
    """A program that is killed.

    Attributes:
        signs: what it changes early, one of them at least.
        after_s: most seconds between that sign and a kill: within a write, between two.
        same: whether what it leaves at its end is what an undisturbed one leaves.
    """

    program: str
    flags: tuple[object, ...]
    signs: tuple[Path, ...]
    after_s: float
    same: Callable[[], bool]


def trials(material: Material, random: Random, share: float) -> Iterator[Trial]:
    for made, kills_in_all in ((_preprocessing, 50), (_training, 50), (_cross_validation, 10)):
        total = count(kills_in_all, share)
        for start in range(0, total, IN_A_ROW):
            seed = int(random.integers(2**32))
            kills = min(IN_A_ROW, total - start)
            run = partial(_killed, material, made, kills, seed)
            yield Trial(
                f"{made.__name__[1:].replace('_', '-')}, {kills} kills", f"seed {seed}", run
            )


def _preprocessing(material: Material, folder: Path) -> Killed:
    """Its bytes, manifest included, are those of an undisturbed run, and there are no others."""
    return Killed(
        "preprocess",
        (*preprocess_flags(material.many, folder), *PATCHES),
        (folder,),
        2.5,
        lambda: same.contents(folder, "*") == same.contents(material.many_whole, "*"),
    )


def _training(material: Material, folder: Path) -> Killed:
    """Its weights, optimizers and history are those of an undisturbed run."""
    return Killed(
        "train",
        train_flags(material.records(), folder, EPOCHS),
        (folder / "progress.json",),
        1.5,
        lambda: same.run(folder) == same.run(material.run_whole),
    )


def _cross_validation(material: Material, folder: Path) -> Killed:
    """A training of each fold in a process of its own; all runs are those of undisturbed ones.

    At first, one of the two is finished.
    """
    copied(material.run, folder / "fold_1")
    return Killed(
        "train",
        (*train_flags(material.records(), folder, epochs=2), *ALL_FOLDS),
        # Noted of those that are not finished.
        tuple(folder / f"fold_{fold}" / "hyperparameters.json" for fold in (0, 1)),
        15.0,
        lambda: runs_of(folder) == whole(material),
    )


def _killed(
    material: Material,
    made: Callable[[Material, Path], Killed],
    kills: int,
    seed: int,
    folder: Path,
) -> Result:
    """Starts a program and kills it, again and again, then lets it end.

    One that ends before its kill is looked at, and begins anew: so many kills there are.
    """
    random = np.random.default_rng(seed)
    target = folder / "killed"
    killed = made(material, target)
    done = 0
    while done < kills:
        status = _kill_once(killed, random)
        if status == -signal.SIGKILL:
            done += 1
            continue
        if status != 0 or not killed.same():
            return Result(Outcome.SILENT, f"after {done} kills: status {status}, or other bytes")
        shutil.rmtree(target)
    ended = launched(killed.program, *killed.flags)
    said = f"{done} kills: {ended.said}"
    if ended.status is None:
        return Result(Outcome.HANG, said)
    if ended.status != 0:
        return Result(Outcome.CRASH, said)
    return Result(Outcome.HARMLESS if killed.same() else Outcome.SILENT, said)


def _kill_once(killed: Killed, random: Random) -> int:
    """The exit status of a start that is killed at a random moment. Its workers have ended, too."""
    process = subprocess.Popen(
        command(killed.program, *killed.flags),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_s = random.uniform(0, killed.after_s)
    if random.random() >= EARLY:
        before, started_s = _changed_s(killed.signs), time.monotonic()
        while _changed_s(killed.signs) == before and time.monotonic() - started_s < LIFE_S:
            if process.poll() is not None:
                break
            time.sleep(0.02)
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        # The parent alone, as the system does: its workers have to end by themselves.
        os.kill(process.pid, signal.SIGKILL)
    status = process.wait()
    if left := _left(process.pid):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise TimeoutError(f"{killed.program}: {len(left)} workers outlived it")
    return status


def _left(session: int) -> list[int]:
    """The processes of a session that are still there after ORPHANS_S."""
    until_s = time.monotonic() + ORPHANS_S
    while (found := _alive(session)) and time.monotonic() < until_s:
        time.sleep(0.1)
    return found


def _alive(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                found.append(int(path.parent.name))
    return found


def _changed_s(paths: Sequence[Path]) -> float:
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)
