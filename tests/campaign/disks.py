"""Disks without room, folders that cannot be written, files of another user."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.campaign.material import Material, copied, preprocess_flags, train_flags
from tests.campaign.mutations import Random
from tests.campaign.outcome import Outcome, Result, Trial, judged, launched

NOBODY = 65534
SIZES_KB = (8, 16, 60, 200, 400, 900, 1600)


def trials(material: Material, random: Random, share: float) -> Iterator[Trial]:
    """None without the right to mount disks."""
    if os.geteuid() != 0:
        print("Left out, since only root can mount: full disks, read-only folders")
        return
    for kb in SIZES_KB if share >= 1 else SIZES_KB[2:3]:
        for program in ("preprocess", "train", "evaluate", "export", "predict"):
            run = partial(_full, material, program, kb)
            yield Trial("full disks", f"{program} on {kb} kB", run)
    for program in ("preprocess", "train", "evaluate", "export", "predict"):
        run = partial(_read_only, material, program)
        yield Trial("read-only folders", program, run)
        if _others_run_python():
            run = partial(_foreign, material, program)
            yield Trial("another user's folders", program, run)


def _others_run_python() -> bool:
    """Whether this interpreter can be used by others: not where it lies in a home folder."""
    try:
        return subprocess.run([sys.executable, "-c", ""], user=NOBODY).returncode == 0
    except PermissionError:
        return False


def _writes(material: Material, program: str, folder: Path) -> tuple[tuple[object, ...], Path]:
    """Flags of a program that writes into `folder`, and what it makes there."""
    if program == "preprocess":
        return preprocess_flags(material.table("nii.gz"), folder / "r"), folder / "r/manifest.json"
    if program == "train":
        flags = train_flags(material.records(), folder / "run", 2)
        return flags, folder / "run/progress.json"
    if program == "evaluate":
        return ("--work_dir", folder / "run"), folder / "run/metrics.csv"
    if program == "export":
        flags = ("--work_dir", material.run, "--out_dir", folder / "m")
        return flags, folder / "m/saved_model.pb"
    images = sorted((material.table("nii.gz") / "s0").glob("t*.nii.gz"))
    given = [flag for image in images for flag in ("--image", image)]
    output = folder / "label.nii.gz"
    return ("--model", material.model, *given, "--output", output), output


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def _full(material: Material, program: str, kb: int, folder: Path) -> Result:
    """Refused; what was there before is there still."""
    with _mounted(folder, f"size={kb}k"):
        if program == "evaluate":
            (folder / "run").mkdir()
            for name in ("progress.json", "hyperparameters.json"):
                (folder / "run" / name).write_bytes((material.run / name).read_bytes())
            (folder / "run/checkpoints").symlink_to(material.run / "checkpoints")
        flags, made = _writes(material, program, folder)
        result = judged(launched(program, *flags), made.is_file)
        if result.outcome is Outcome.REFUSED:
            left = [path.name for path in folder.rglob(".*") if path.is_file()]
            if left and program != "preprocess":
                return Result(Outcome.SILENT, f"left behind: {left}")
            if not any(word in result.said for word in ("No space left", "free", "the disk's")):
                return Result(Outcome.TRACEBACK, f"does not tell why: {result.said}")
        return result


def _read_only(material: Material, program: str, folder: Path) -> Result:
    if program == "evaluate":
        copied(material.run, folder / "run")
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        flags, made = _writes(material, program, folder)
        return judged(launched(program, *flags), made.is_file)
    finally:
        subprocess.run(["umount", folder], check=True)


def _foreign(material: Material, program: str, folder: Path) -> Result:
    """A user without rights writes into root's folder."""
    if program == "evaluate":
        copied(material.run, folder / "run")
    os.chmod(folder, 0o755)
    flags, made = _writes(material, program, folder)
    return judged(launched(program, *flags, user=NOBODY), made.is_file)
