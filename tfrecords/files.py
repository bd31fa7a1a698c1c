"""Files: checksums, and writing that a kill cannot leave half done."""

import hashlib
import json
import os
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


def write_file(path: Path, content: bytes) -> None:
    """Atomically: a reader sees the old file or the new one, whole."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def write_json(path: Path, content: object) -> None:
    """Atomically: a reader sees the old file or the new one, whole. The same content stays."""
    text = json.dumps(content, indent=1, default=str) + "\n"
    if path.is_file() and path.read_bytes() == text.encode():
        return
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
