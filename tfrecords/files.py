"""Checksums, writing that a kill cannot leave half done, and JSON that is checked when read."""

import fcntl
import hashlib
import json
import os
import re
import secrets
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tfrecords.errors import SettingError, UserError

CHUNK_BYTES = 2**20
# In temporary files' names: of others' processes, on a shared disk, nothing is known here.
HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
LEFTOVER = re.compile(rf"\.{HOST}-(\d{{1,10}})-[0-9a-f]{{16}}-")
LOCK = ".lock"
VERSION = "format_version"
CHECKSUM = "checksum"  # SHA-256 of the other entries of a JSON file, the version's aside.
Content = TypeVar("Content")


def file_checksum(*paths: Path) -> str:
    """The hexadecimal SHA-256 of a file, or of several one after another, read in chunks."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def checksum_holds(path: Path, sha256: str) -> bool:
    """Whether the file is there and has this checksum."""
    return path.is_file() and file_checksum(path) == sha256


@contextmanager
def writing(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Gives a temporary file to write, which takes the place of `path` at the end, synced.

    A reader sees the old file or the new one, after a loss of power as well. Where writing fails,
    the temporary file is gone and the old one stays; after a kill, the next process that writes to
    the folder takes it away.

    Args:
        folder: of the temporary file, on the same disk; beside `path` if not given.

    Raises:
        OSError: with a file's name.
    """
    folder = folder or path.parent
    _remove_leftovers(folder)
    temporary = folder / f".{HOST}-{os.getpid()}-{secrets.token_hex(8)}-{path.name}"
    try:
        # What follows opens it by name; here, no link that somebody put there is followed.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        # Of a full disk, the system does not say where; of a folder in the file's place, it names
        # the temporary file.
        if error.filename is None or error.filename2 is not None:
            error.filename, error.filename2 = str(path), None
        raise
    _sync(path.parent)


@cache
def _remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of processes of this machine that are dead, once for a folder."""
    with suppress(OSError):  # No such folder, or one that may not be looked into.
        for entry in os.scandir(folder):
            found = LEFTOVER.match(entry.name)
            if found and entry.is_file(follow_symlinks=False) and not _lives(int(found[1])):
                os.unlink(entry.path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # Somebody else's.
        return True
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other processes that ask for the same out of a folder, while this one lives at most.

    Raises:
        UserError: another one has it.
    """
    with (folder / LOCK).open("w") as lock:  # Let go when the process ends, however.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another process writes there; wait for it, or choose another folder"
            ) from None
        yield


def write_file(path: Path, content: bytes) -> None:
    """Writes a file atomically; see `writing`."""
    with writing(path) as temporary:
        temporary.write_bytes(content)


def json_checksum(content: object) -> str:
    """The hexadecimal SHA-256 of what JSON can hold, however it is laid out in a file."""
    read_back = json.loads(json.dumps(content, default=str))  # Keys are text then.
    text = json.dumps(read_back, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_json(path: Path, content: object, version: int | None = None) -> None:
    """Writes JSON atomically. The same content stays.

    Args:
        content: anything that JSON can hold; or, with a version, a dataclass or its entries, before
            which the file holds the version and a checksum, for `read_json` to compare.
    """
    if version is not None:
        entries = content if isinstance(content, dict) else asdict(content)  # type: ignore[call-overload]
        content = {VERSION: version, CHECKSUM: json_checksum(entries), **entries}
    text = (json.dumps(content, indent=1, default=str) + "\n").encode()
    if not path.is_file() or path.read_bytes() != text:
        write_file(path, text)


def read_json(path: Path, kind: type[Content], version: int, remedy: str) -> Content:
    """A dataclass that `write_json` wrote.

    Args:
        remedy: what the user can do where the file is not what it should be.

    Raises:
        UserError: unreadable, not JSON, of another version, edited, or with wrong entries.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except PermissionError as error:
        raise UserError(
            f"{path}: {error.strerror}; ask its owner for the right to read it"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected a JSON object, received: {error}. {remedy}") from None
    return parse_json(text, path, kind, version, remedy)


def parse_json(
    text: str | bytes, place: Path | str, kind: type[Content], version: int, remedy: str
) -> Content:
    """As `read_json`, of a text that was found at a place."""
    try:
        content: dict[str, Any] = json.loads(text)
        found = content.pop(VERSION, None)
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{place}: expected a JSON object, received: {error}. {remedy}") from None
    if found != version:
        raise UserError(
            f"{place}: expected format version {version}, received {found}. It was written by "
            f"another version of tfadv. {remedy}"
        )
    if content.pop(CHECKSUM, None) != json_checksum(content):
        raise UserError(
            f"{place}: expected the entries that were written, received others (their checksum "
            f"differs): the file was edited or damaged. {remedy}"
        )
    try:
        return TypeAdapter(kind).validate_python(content)
    except SettingError as error:  # Of a dataclass that checks itself.
        raise UserError(f"{place}: {error}. {remedy}") from None
    except ValidationError as error:
        raise UserError(f"{place}: {first_fault(error)}. {remedy}") from None


def first_fault(error: ValidationError) -> str:
    """The first wrong entry, what is wrong with it, and what was received."""
    first = error.errors()[0]
    parts = (str(part) if str(part).isprintable() else repr(part) for part in first["loc"])
    place = f"{'.'.join(parts):.300}: " if first["loc"] else ""
    received = "" if first["type"] == "missing" else f", received {first['input']!r:.80}"
    # What a user writes is no instance of our classes.
    return f"{place}{first['msg'].partition(' or instance of')[0]}{received}"


def _sync(path: Path) -> None:
    """Waits until the disk holds a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
