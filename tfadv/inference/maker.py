"""Which tfadv made a model."""

import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]  # Of a clone.
UNKNOWN = "unknown"
GIT_S = 10


def maker() -> str:
    """The version, and of a clone the commit, as in "tfadv 0.2.0, commit 7fef308"."""
    return f"tfadv {_version()}{_commit(ROOT)}"


def _version() -> str:
    project = ROOT / "pyproject.toml"
    if project.is_file():
        return tomllib.loads(project.read_text())["project"]["version"]
    try:
        return metadata.version("tfadv")
    except metadata.PackageNotFoundError:
        return UNKNOWN


def _commit(root: Path) -> str:
    """Empty where the folder is no clone of its own, or there is no git."""
    if not (root / ".git").exists():
        return ""
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return ""
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return f", commit {commit}{', changed since' if changed else ''}"


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ("git", "-C", root, *arguments), capture_output=True, text=True, timeout=GIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
