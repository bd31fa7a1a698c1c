"""Bytes of volumes: hashed as they are read, decompressed to their end, bounded before.

A decompressor that stops at the last voxel never sees the checksum that follows it. ISA-L inflates
in two fifths of zlib's time, with the same checks.
"""

import gzip
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from isal import igzip, isal_zlib

from tfrecords.errors import UserError
from tfrecords.memory import free_memory

CHUNK_BYTES = 2**20
# For which nobody is asked how much is free: that takes as long as to read so little.
SMALL_BYTES = 2**24
# Deflate makes no more of a byte: 258 of two bits.
DEFLATE_RATIO = 1032
# What readers of compressed data raise where these are damaged.
DAMAGES: tuple[type[Exception], ...] = (
    gzip.BadGzipFile,
    isal_zlib.error,  # type: ignore[assignment]  # Its stub says that it is an instance.
    EOFError,
)


class HashedFile(io.RawIOBase):
    """A file, whose SHA-256 is that of all that was read of it, from the first byte on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer) or 0
        self._digest.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

    def sha256(self) -> str:
        return self._digest.hexdigest()


@contextmanager
def hashed(path: Path) -> Iterator[tuple[HashedFile, BinaryIO]]:
    """The file, and its content to read, decompressed and checked if its name ends in .gz."""
    with HashedFile(path) as file, io.BufferedReader(file, CHUNK_BYTES) as content:
        if not is_gzip(path):
            yield file, content
            return
        with igzip.IGzipFile(fileobj=content) as stream:
            yield file, stream  # type: ignore[misc]


def is_gzip(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def drained(stream: BinaryIO) -> int:
    """Reads to the end, where gzip compares checksum and length, and counts the bytes."""
    return sum(map(len, iter(lambda: stream.read(CHUNK_BYTES), b"")))


def inflated(stream: BinaryIO) -> int:
    """Decompresses one zlib stream to its end, with its checksum, and counts the bytes."""
    decoder = isal_zlib.decompressobj()
    size, compressed = 0, b""
    while not decoder.eof:
        compressed = decoder.unconsumed_tail or stream.read(CHUNK_BYTES)
        if not compressed:
            raise EOFError("the compressed data end early")
        size += len(decoder.decompress(compressed, CHUNK_BYTES))
    return size


def require_possible(declared: int, stored: int, *, compressed: bool) -> None:
    """Refuses a header that declares more bytes than its file's can be, before there is room made.

    Raises:
        UserError: without the file's name.
    """
    if declared > stored * (DEFLATE_RATIO if compressed else 1):
        raise UserError(
            f"its header says {declared} bytes, which the file's {stored} "
            f"{'compressed bytes ' if compressed else ''}cannot be; it is damaged or cut off: "
            "fetch or write it anew"
        )


def require_memory(needed: int) -> None:
    """Refuses what would take more bytes than are free. Raises UserError, without a name."""
    if needed < SMALL_BYTES:
        return
    free = free_memory()
    if free is not None and needed > free:
        raise UserError(
            f"it takes {needed} bytes of memory, and {free} are free; use a machine with more, or "
            "fewer --workers at once"
        )


def excess(left: int, plane: int) -> tuple[str, ...]:
    """What to say of bytes that follow the last voxel.

    Fewer than a plane of voxels may be padding. More are voxels of which the header does not know.

    Args:
        plane: bytes of one plane of voxels.

    Raises:
        UserError: there is a plane or more.
    """
    if left >= plane:
        raise UserError(
            f"{left} bytes follow the last voxel of which its header tells; its header is "
            "damaged, or of another image: fetch or write it anew"
        )
    return ("some bytes follow the last voxel; they are not read",) if left else ()
