"""Programs as users start them, in processes of their own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tfadv import forked

ROOT = Path(__file__).parents[3]
Command = Callable[..., list[str]]
Launch = Callable[..., subprocess.CompletedProcess[str]]


def _command(program: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "launch" / f"{program}.py"), *map(str, arguments)]


def _launch(
    program: str, *arguments: object, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return forked.run(ROOT / "launch" / f"{program}.py", arguments, cwd)


def _tfadv(*arguments: object) -> subprocess.CompletedProcess[str]:
    door = "import sys; sys.argv[0] = '/bin/tfadv'; from tfadv.programs.main import main; main()"
    command = [sys.executable, "-c", door, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=forked.LIMIT_S)


@pytest.fixture(scope="session")
def command() -> Command:
    """`command("train", flags...)`: what starts a program by its door in launch/."""
    return _command


@pytest.fixture(scope="session")
def launch() -> Launch:
    """`launch("train", flags..., cwd=folder)` starts it and waits for its end.

    With TensorFlow imported before: what a program does without it, `command` shows.
    """
    return _launch


@pytest.fixture(scope="session")
def tfadv() -> Launch:
    """`tfadv("train", flags...)`: by the console script's door."""
    return _tfadv
