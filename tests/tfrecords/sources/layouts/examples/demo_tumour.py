"""The layout makes its own subjects."""

from collections.abc import Callable
from pathlib import Path


def write(folder: Path, image: Callable[..., None], label: Callable[..., None]) -> Path:
    return folder
