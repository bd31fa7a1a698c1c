"""Programs run by a user who owns nothing, also where the interpreter lies in root's home."""

import os
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Self

from tests.campaign.outcome import ROOT, Ended, command, ended

NOBODY = 65534
PREFIX = Path(sys.base_prefix).resolve()


class AnotherUser:
    """Mounts interpreter, packages and this clone where everybody may read them.

    Attributes:
        folder: everybody's; where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mounted: list[Path] = []
        self._lock = threading.Lock()  # Trials run in several threads.

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for place in self._mounted:
            subprocess.run(["umount", place], check=True)
        self._mounted = []

    def why_not(self) -> str:
        """Why programs cannot be run as another user; empty where they can."""
        if os.geteuid() != 0:
            return "only root can become another user"
        words = [str(self._python()), "-c", "import numpy, sys, tfadv; print(sys.version)"]
        tried = ended(words, self._environment(), NOBODY)
        if tried.status != 0:
            return f"the interpreter does not start: {tried.said}"
        # Another shared library of Python may have been found.
        same = tried.stdout.strip() == sys.version
        return "" if same else f"it would be the interpreter {tried.stdout.strip()}"

    def launched(self, program: str, *arguments: object) -> Ended:
        """As `outcome.launched`."""
        words = command(program, *arguments, root=self._at("clone", ROOT))
        return ended([str(self._python()), *words[1:]], self._environment(), NOBODY)

    def _python(self) -> Path:
        executable = Path(sys.executable).resolve()
        return self._at("python", PREFIX) / executable.relative_to(PREFIX)

    def _environment(self) -> dict[str, str]:
        packages = self._at("packages", Path(sysconfig.get_path("purelib")))
        # No home, and no folder for the caches of Python and of Matplotlib.
        return {
            "PATH": os.defpath,
            "LD_LIBRARY_PATH": str(self._at("python", PREFIX) / "lib"),
            "PYTHONPATH": f"{packages}:{self._at('clone', ROOT)}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def _at(self, name: str, source: Path) -> Path:
        """Where everybody finds what may lie in root's home."""
        place = self.folder / name
        with self._lock:
            if place not in self._mounted:
                place.mkdir(parents=True)
                subprocess.run(["mount", "--bind", source, place], check=True)
                self._mounted.append(place)
        return place
