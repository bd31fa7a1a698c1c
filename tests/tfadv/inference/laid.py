"""Folders whose files have names alone."""

from pathlib import Path

MODALITIES = ("t1", "post_t1")


def laid(folder: Path, *names: str) -> Path:
    """A folder with files that nobody opens."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder
