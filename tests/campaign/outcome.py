"""What a trial ends with, and how that is decided: by exit status, words and bytes."""

import enum
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfrecords.files import file_checksum

ROOT = Path(__file__).parents[2]
LIMIT_S = 240


class Outcome(enum.Enum):
    REFUSED = "refused"  # One clear line, exit status other than 0.
    WARNED = "warned"  # Accepted, other bytes, and a warning that says so.
    HARMLESS = "harmless"  # Accepted, and the same bytes as without the damage.
    SILENT = "silent"  # Accepted, other bytes, and no word.
    TRACEBACK = "traceback"
    CRASH = "crash"
    HANG = "hang"


GOOD = {Outcome.REFUSED, Outcome.WARNED, Outcome.HARMLESS}


@dataclass(frozen=True)
class Trial:
    """One try in a folder of its own.

    Attributes:
        name: what is done; with the seed, enough to do it again.
        run: gets an empty folder, gives the outcome and what was said.
    """

    category: str
    name: str
    run: Callable[[Path], "Result"]


@dataclass(frozen=True)
class Result:
    outcome: Outcome
    said: str = ""


@dataclass(frozen=True)
class Ended:
    """A program's end: its exit status, None where it was stopped after LIMIT_S."""

    status: int | None
    stdout: str
    stderr: str


def launched(program: str, *arguments: object, user: int | None = None) -> Ended:
    """Starts a program as a user does and waits for its end."""
    process = subprocess.Popen(
        command(program, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
        user=user,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Ended(None, "", "")
    return Ended(process.returncode, stdout, stderr)


def command(program: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "launch" / f"{program}.py"), *map(str, arguments)]


def judged(ended: Ended, same: Callable[[], bool], subject: str = "") -> Result:
    """The outcome of a program that was given something damaged.

    Args:
        same: whether what it wrote is, byte for byte, what the undamaged gives.
        subject: a word that a warning must hold to count as one about the damage.
    """
    said = (ended.stderr.strip().splitlines() or [""])[-1]
    if ended.status is None:
        return Result(Outcome.HANG)
    if "Traceback (most recent call last)" in ended.stderr:
        return Result(Outcome.TRACEBACK, said)
    if ended.status < 0 or "Fatal Python error" in ended.stderr:
        return Result(Outcome.CRASH, f"status {ended.status}: {said}")
    if ended.status != 0:
        clear = any(line.startswith("error: ") for line in ended.stderr.splitlines())
        return Result(Outcome.REFUSED if clear else Outcome.TRACEBACK, said)
    if same():
        return Result(Outcome.HARMLESS)
    warnings = [line for line in ended.stderr.splitlines() if line.startswith("warning: ")]
    told = any(subject in line for line in warnings)
    return Result(Outcome.WARNED if told else Outcome.SILENT, " ".join(warnings))


def contents(folder: Path, pattern: str) -> dict[str, str]:
    """SHA-256 of the files below a folder that match."""
    return {
        str(path.relative_to(folder)): file_checksum(path)
        for path in sorted(folder.rglob(pattern))
        if path.is_file()
    }
