"""A server of the material's model that trials ask, kill, and start again; one at a time."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import requests

from serving.process import PYTHON, Served
from tests.campaign.outcome import LIMIT_S

NAME = "model"
READY_S = 0.1  # Between two looks.


class Running:
    """The process, started where a trial wants it and it is not there.

    Args:
        folder: of its models and its log.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.models = folder / "models"
        self._served = Served(self.models, folder / "log")
        self._lock = threading.Lock()  # Trials run in several threads.

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.lives:
            self._served.kill()

    @staticmethod
    def why_not() -> str:
        """Why there can be none; empty where there can."""
        return "" if PYTHON.is_file() else f"{PYTHON}: no such file; make server"

    @property
    def lives(self) -> bool:
        return self._served.process is not None and self._served.process.poll() is None

    @property
    def ports(self) -> tuple[int, ...]:
        """Of HTTP, gRPC and metrics."""
        return self._served.ports

    @contextmanager
    def alone(self, model: Path) -> Iterator[Self]:
        """Nobody else asks or kills it meanwhile; it serves this model's version and no other."""
        version = self.models / NAME / "1"
        with self._lock:
            if not self.models.exists():
                shutil.copytree(model, version)
            yield self

    def start(self) -> None:
        """Waits until it answers, or has ended."""
        if self.lives:
            return
        self._served.log.unlink(missing_ok=True)
        self._served.start()
        until_s = time.monotonic() + LIMIT_S
        while self.lives and not self._is_ready():
            if time.monotonic() > until_s:
                raise TimeoutError(f"the server is not ready after {LIMIT_S} s")
            time.sleep(READY_S)

    def kill(self) -> None:
        if self.lives:
            self._served.kill()

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    def reset(self) -> None:
        """After damage: the next one begins anew."""
        self.kill()
        shutil.rmtree(self.models)

    @property
    def ended(self) -> tuple[int | None, str]:
        """Its exit status, None while it lives, and the last line that it said."""
        assert self._served.process is not None
        lines = self._served.log.read_text(errors="replace").strip().splitlines()
        return self._served.process.poll(), (lines or [""])[-1]

    def address(self, scheme: str) -> str:
        return str(self._served.address(scheme, NAME))

    def _is_ready(self) -> bool:
        try:
            url = f"http://localhost:{self.ports[0]}/v2/models/{NAME}/ready"
            return requests.get(url, timeout=LIMIT_S).ok
        except requests.ConnectionError:
            return False


def started_wrongly(*flags: object) -> subprocess.CompletedProcess[str]:
    """The end of serve.py with flags that it has to refuse."""
    script = PYTHON.parents[2] / "serve.py"
    command = [str(PYTHON), str(script), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
