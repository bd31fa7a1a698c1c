"""Programs as users start them, in processes of their own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
Command = Callable[..., list[str]]
Launch = Callable[..., subprocess.CompletedProcess[str]]
LIMIT_S = 300


def _command(program: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "launch" / f"{program}.py"), *map(str, arguments)]


def _launch(
    program: str, *arguments: object, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(program, *arguments), cwd=cwd, capture_output=True, text=True, timeout=LIMIT_S
    )


def _tfadv(*arguments: object) -> subprocess.CompletedProcess[str]:
    door = "import sys; sys.argv[0] = '/bin/tfadv'; from tfadv.programs.main import main; main()"
    command = [sys.executable, "-c", door, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)


@pytest.fixture(scope="session")
def command() -> Command:
    """`command("train", flags...)`: what starts a program by its door in launch/."""
    return _command


@pytest.fixture(scope="session")
def launch() -> Launch:
    """`launch("train", flags..., cwd=folder)` starts it and waits for its end."""
    return _launch


@pytest.fixture(scope="session")
def tfadv() -> Launch:
    """`tfadv("train", flags...)`: by the console script's door."""
    return _tfadv
