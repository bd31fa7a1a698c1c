"""What a trial ends with, and how that is decided: by exit status, words and bytes."""

import enum
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 600  # Of what takes seconds, on a machine that does much else.


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

    @property
    def said(self) -> str:
        """The last line of its errors."""
        return (self.stderr.strip().splitlines() or [""])[-1]

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("warning: ")]


def count(total: int, share: float) -> int:
    """How many of a category's trials are done: at least one."""
    return max(1, round(total * share))


def launched(program: str, *arguments: object) -> Ended:
    """Starts a program as a user does and waits for its end."""
    return ended(command(program, *arguments), {**os.environ, "PYTHONPATH": str(ROOT)})


def ended(words: Sequence[str], environment: Mapping[str, str], user: int | None = None) -> Ended:
    """The end of a command, run by this user or another."""
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        env=environment,
    )
    try:
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Ended(None, "", "")
    return Ended(process.returncode, stdout, stderr)


def command(program: str, *arguments: object, root: Path = ROOT) -> list[str]:
    return [sys.executable, str(root / "launch" / f"{program}.py"), *map(str, arguments)]


def judged(ended: Ended, same: Callable[[], bool], about: Sequence[str] = ()) -> Result:
    """The outcome of a program that was given something damaged.

    Args:
        same: whether what it wrote is, byte for byte, what the undamaged gives.
        about: words, of which a warning must hold one to be about the damage. Undamaged input of
            the campaign is not warned of.
    """
    if ended.status is None:
        return Result(Outcome.HANG)
    if "Traceback (most recent call last)" in ended.stderr:
        return Result(Outcome.TRACEBACK, ended.said)
    if ended.status < 0 or "Fatal Python error" in ended.stderr:
        return Result(Outcome.CRASH, f"status {ended.status}: {ended.said}")
    if ended.status != 0:
        # Whole lines: one that begins at a progress bar's end is none.
        clear = any(line.startswith("error: ") for line in ended.stderr.splitlines())
        return Result(Outcome.REFUSED if clear else Outcome.TRACEBACK, ended.said)
    if same():
        return Result(Outcome.HARMLESS)
    told = any(word in line for line in ended.warnings for word in about)
    return Result(Outcome.WARNED if told else Outcome.SILENT, " ".join(ended.warnings))
