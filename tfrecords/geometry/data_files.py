"""Where MetaImage and NRRD files keep their voxels, so that their compression can be checked.

ITK reads both, but compares no checksum of MetaImage's, and ends the process at some headers.
"""

import bz2
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from isal import igzip

from tfrecords.errors import UserError
from tfrecords.geometry import dicom
from tfrecords.geometry.streams import drained, inflated

LINE_BYTES = 2**16  # Of a header, at most.
LINES = 10_000
ENCODINGS = {"gz": "gzip", "gzip": "gzip", "bz2": "bzip2", "bzip2": "bzip2", "raw": "raw"}
NUMBERED = re.compile(r"[^%]*%0?\d{0,2}d[^%]*")


@dataclass(frozen=True)
class Data:
    """Where voxels are, and how.

    Attributes:
        files: that hold them, in their order; the header's own where they follow it.
        encoding: "raw", "gzip", "zlib", "bzip2", or "text", which is not looked at.
        first: the byte of a file at which its data begin.
        lines: of these, that precede the voxels.
        before: bytes that precede the voxels after these, decompressed; -1 where raw voxels end
            with the file.
    """

    files: tuple[Path, ...]
    encoding: str
    first: int = 0
    lines: int = 0
    before: int = 0

    def size(self, declared: int) -> int:
        """Bytes of voxels that the files hold, decompressed to their end.

        Args:
            declared: the same, as the header says.

        Raises:
            streams.DAMAGES, OSError: what is compressed is damaged.
        """
        if self.encoding == "text":
            return declared
        held = sum(map(self._size, self.files))
        return min(held, declared) if self.before < 0 else held

    def _size(self, path: Path) -> int:
        with path.open("rb") as file:
            file.seek(self.first)
            for _ in range(self.lines):
                file.readline()
            return SIZES[self.encoding](file) - max(0, self.before)


def _raw(file: BinaryIO) -> int:
    start = file.tell()
    return file.seek(0, os.SEEK_END) - start


def _gunzipped(file: BinaryIO) -> int:
    with igzip.IGzipFile(fileobj=file) as stream:
        return drained(stream)  # type: ignore[arg-type]


def _bunzipped(file: BinaryIO) -> int:
    with bz2.BZ2File(file) as stream:
        return drained(stream)  # type: ignore[arg-type]


SIZES: dict[str, Callable[[BinaryIO], int]] = {
    "raw": _raw,
    "gzip": _gunzipped,
    "zlib": inflated,
    "bzip2": _bunzipped,
}


def find(path: Path) -> Data | None:
    """Where an image file keeps its voxels; None of a format that is neither of the two.

    Raises:
        UserError: a header of dimensions that no volume has, or of files that are not there.
        ValueError: a header that cannot be read.
    """
    readers = {".mha": _meta, ".mhd": _meta, ".nrrd": _nrrd, ".nhdr": _nrrd}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        return None
    with path.open("rb") as file:
        data = reader(path, file)
    if missing := [str(file) for file in data.files if not file.is_file()]:
        raise UserError(f"no such file: {', '.join(missing[:3])}, which holds its voxels")
    return data


def files_of(path: Path) -> tuple[Path, ...]:
    """An image file and those that hold its voxels, or a DICOM series' slices; see `find`."""
    if path.is_dir():
        return dicom.slices(path)
    data = find(path)
    return tuple(dict.fromkeys((path, *(data.files if data else ()))))


def _meta(path: Path, file: BinaryIO) -> Data:
    """https://itk.org/Wiki/ITK/MetaIO/Documentation"""
    fields: dict[str, str] = {}
    for line in _lines(file):
        key, _, value = line.partition("=")
        fields[key.strip()] = value.strip()
        if "ElementDataFile" in fields:
            break
    else:
        raise ValueError("expected a header that ends with ElementDataFile")
    _require_volume(fields.get("NDims", ""))
    encoding = "zlib" if fields.get("CompressedData", "").lower() == "true" else "raw"
    if fields.get("BinaryData", "true").lower() == "false":
        encoding = "text"
    name = fields["ElementDataFile"]
    if name.upper() == "LOCAL":
        _require_stored(fields, path.stat().st_size - file.tell())
        return Data((path,), encoding, file.tell())
    names = list(_lines(file)) if name.split()[:1] == ["LIST"] else _numbered(name)
    files = tuple(path.parent / name for name in names)
    if len(files) == 1 and files[0].is_file():
        _require_stored(fields, files[0].stat().st_size)
    return Data(files, encoding, before=int(fields.get("HeaderSize", "0")))


def _require_stored(fields: Mapping[str, str], stored: int) -> None:
    """ITK reads no more compressed bytes than a header says."""
    expected = fields.get("CompressedDataSize", str(stored))
    if expected not in ("0", str(stored)):
        raise ValueError(f"expected {expected} compressed bytes, received {stored}")


def _nrrd(path: Path, file: BinaryIO) -> Data:
    """https://teem.sourceforge.net/nrrd/format.html"""
    fields: dict[str, str] = {}
    names: list[str] | None = None
    for line in _lines(file):
        key, _, value = line.partition(":")
        fields[key.lower().replace(" ", "")] = value.strip()
        if "datafile" in fields and fields["datafile"].split()[:1] == ["LIST"]:
            names = list(_lines(file))
            break
    _require_volume(fields.get("dimension", ""))
    encoding = ENCODINGS.get(fields.get("encoding", "").lower(), "text")
    before, lines = int(fields.get("byteskip", "0")), int(fields.get("lineskip", "0"))
    if "datafile" not in fields:
        return Data((path,), encoding, file.tell(), lines, before)
    names = _numbered(fields["datafile"]) if names is None else names
    return Data(tuple(path.parent / name for name in names), encoding, 0, lines, before)


def _lines(file: BinaryIO) -> Iterator[str]:
    """The lines up to an empty one or the end."""
    for _ in range(LINES):
        line = os.fsdecode(file.readline(LINE_BYTES)).strip()
        if not line:
            return
        yield line
    raise ValueError(f"expected a header of at most {LINES} lines")


def _numbered(text: str) -> list[str]:
    """One file's name, or "slice%03d.raw 1 20 1": a name by number, first, last, step."""
    name, *numbers = text.rsplit(maxsplit=3)
    if "%" not in name or len(numbers) != 3:
        return [text]
    first, last, step = map(int, numbers)
    if not NUMBERED.fullmatch(name) or step < 1 or last - first > LINES:
        raise ValueError(f"expected names of data files by number, received {text[:80]!r}")
    return [name % number for number in range(first, last + 1, step)]


def _require_volume(dimensions: str) -> None:
    """ITK ends the process at very many. The fourth may be of channels."""
    if dimensions not in ("3", "4"):
        raise UserError(f"expected three dimensions, received {dimensions or 'none'}")
