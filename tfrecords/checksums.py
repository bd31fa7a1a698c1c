"""SHA-256 of files."""

import hashlib
from pathlib import Path

CHUNK_BYTES = 2**20


def file_checksum(path: Path) -> str:
    """The hexadecimal SHA-256 of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def checksum_holds(path: Path, sha256: str) -> bool:
    """Whether the file is there and has this checksum."""
    return path.is_file() and file_checksum(path) == sha256
