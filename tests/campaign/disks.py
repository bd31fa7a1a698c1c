"""Disks without room, folders that cannot be written, another user's files and folders."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.campaign import same
from tests.campaign.another_user import NOBODY, AnotherUser
from tests.campaign.material import (
    Material,
    copied,
    predict_flags,
    preprocess_flags,
    train_flags,
)
from tests.campaign.mutations import Random
from tests.campaign.outcome import Ended, Outcome, Result, Trial, count, judged, launched

# A command before another, whose mounts are its own and end with it, however it ends.
OWN_MOUNTS = ("unshare", "--mount")
PROGRAMS = ("preprocess", "train", "evaluate", "export", "predict")
SIZES_KB = (8, 16, 60, 200, 400, 900, 1600)
# What a program reads, from the folder that `_taken` makes; each is root's alone in one trial.
FILES = {
    "preprocess": ("data/subjects.csv", "data/s0/t1.nii.gz", "data/s1"),
    "train": (
        "records/manifest.json",
        "records/slices-fold0-high-00000-of-00001.tfrecord",
        "records/volumes-fold1-high-00000-of-00001.tfrecord",
    ),
    "evaluate": ("run/hyperparameters.json", "run/checkpoints", "run/progress.json"),
    "export": ("run/hyperparameters.json", "run/checkpoints/epoch-0002.weights.h5"),
    "predict": ("data/s0/t1.nii.gz", "model/saved_model.pb", "model/assets"),
}


@dataclass(frozen=True)
class Writes:
    """A program's flags, and whether what it made is what it makes elsewhere."""

    flags: tuple[object, ...]
    same: Callable[[], bool]


def why_not() -> str:
    """Why disks cannot be tried here; empty where they can."""
    if os.geteuid() != 0:
        return "only root can mount"
    tried = subprocess.run(
        [*OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/tmp"],
        capture_output=True,
        text=True,
    )
    return tried.stderr.strip()


def trials(material: Material, random: Random, share: float, user: AnotherUser) -> Iterator[Trial]:
    full = [(program, kb) for kb in SIZES_KB for program in PROGRAMS]
    for place in random.permutation(len(full))[: count(len(full), share)].tolist():
        program, kb = full[place]
        run = partial(_full, material, program, kb)
        yield Trial("full disks", f"{program} on {kb} kB", run)
    for program in random.permutation(PROGRAMS)[: count(len(PROGRAMS), share)].tolist():
        yield Trial("read-only folders", program, partial(_read_only, material, program))
    for program in random.permutation(PROGRAMS)[: count(len(PROGRAMS), share)].tolist():
        run = partial(_foreign_folder, material, user, program)
        yield Trial("another user's folders", program, run)
    files = [(program, file) for program, files in FILES.items() for file in files]
    for place in random.permutation(len(files))[: count(len(files), share)].tolist():
        run = partial(_foreign_file, material, user, *files[place])
        yield Trial("another user's files", ": ".join(files[place]), run)


def _writes(material: Material, program: str, folder: Path, taken: Path | None = None) -> Writes:
    """A program that reads the material, or copies of it in `taken`, and writes into `folder`."""
    data = taken / "data" if taken else material.table("nii.gz")
    records = taken / "records" if taken else material.records()
    run = taken / "run" if taken else material.run
    if program == "preprocess":
        made = folder / "r"
        return Writes(
            preprocess_flags(data, made),
            lambda: same.record_set(made) == same.record_set(material.records()),
        )
    if program == "train":
        made = folder / "run"
        return Writes(
            train_flags(records, made, 2), lambda: same.run(made) == same.run(material.run)
        )
    if program == "evaluate":
        made = run if taken else folder / "run"
        return Writes(
            ("--work_dir", made),
            lambda: same.evaluation(made) == same.evaluation(material.evaluated),
        )
    if program == "export":
        made = folder / "m"
        return Writes(
            ("--work_dir", run, "--out_dir", made),
            lambda: same.model(made / "1") == same.model(material.model),
        )
    made = folder / "label.nii.gz"
    return Writes(
        predict_flags(taken / "model" if taken else material.model, data / "s0", made),
        lambda: same.label_map(made) == same.label_map(material.label),
    )


@contextmanager
def _mounted(folder: Path, *options: str) -> Iterator[None]:
    subprocess.run(["mount", *options, folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def _full(material: Material, program: str, kb: int, folder: Path) -> Result:
    """Refused; what was there before is there still, and nothing half made."""
    with _mounted(folder, "-t", "tmpfs", "-o", f"size={kb}k", "tmpfs"):
        if program == "evaluate":
            (folder / "run").mkdir()
            for name in ("progress.json", "hyperparameters.json"):
                (folder / "run" / name).write_bytes((material.run / name).read_bytes())
            (folder / "run/checkpoints").symlink_to(material.run / "checkpoints")
        writes = _writes(material, program, folder)
        result = judged(launched(program, *writes.flags), writes.same)
        if result.outcome is Outcome.REFUSED:
            left = [str(path) for path in folder.rglob(".*") if path.is_file()]
            if left:
                return Result(Outcome.SILENT, f"left behind: {left}")
            if not any(word in result.said for word in ("No space left", "free", "the disk's")):
                return Result(Outcome.TRACEBACK, f"does not tell why: {result.said}")
        return result


def _read_only(material: Material, program: str, folder: Path) -> Result:
    if program == "evaluate":
        copied(material.run, folder / "run")
    writes = _writes(material, program, folder)
    with _mounted(folder, "--bind", folder):
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        return _refused(launched(program, *writes.flags), folder)


def _foreign_folder(material: Material, user: AnotherUser, program: str, folder: Path) -> Result:
    """A user without rights writes into root's folder."""
    if program == "evaluate":
        copied(material.run, folder / "run")
    folder.chmod(0o755)
    writes = _writes(material, program, folder)
    return _refused(user.launched(program, *writes.flags), folder)


def _foreign_file(
    material: Material, user: AnotherUser, program: str, file: str, folder: Path
) -> Result:
    """A user without rights reads copies that are everybody's, but for one file or folder."""
    taken = folder / "taken"
    sources = {
        "data": material.table("nii.gz"),
        "records": material.records(),
        "run": material.run,
        "model": material.model,
    }
    for name, source in sources.items():
        copied(source, taken / name)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.chown(taken / file, 0, 0)
    (taken / file).chmod(0o700 if (taken / file).is_dir() else 0o600)
    writes = _writes(material, program, folder / "made", taken)
    (folder / "made").mkdir()
    os.chown(folder / "made", NOBODY, NOBODY)
    return _refused(user.launched(program, *writes.flags), folder, Path(file).name, writes.same)


def _refused(
    ended: Ended, folder: Path, word: str = "", same: Callable[[], bool] = lambda: False
) -> Result:
    """What cannot be done is refused, in words that name the place."""
    result = judged(ended, same)
    if result.outcome is Outcome.REFUSED and not (
        str(folder) in result.said and word in result.said
    ):
        return Result(Outcome.TRACEBACK, f"does not tell where: {result.said}")
    return result
