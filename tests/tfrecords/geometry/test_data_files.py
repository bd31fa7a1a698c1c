"""MetaImage and NRRD headers, as ITK understands them."""

import bz2
import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.geometry.data_files import find
from tfrecords.geometry.nifti import read, read_volume

VOXELS = np.arange(4 * 3 * 2, dtype="<i2").reshape(4, 3, 2)
CONTENT = VOXELS.tobytes("F")
PLANES = [VOXELS[..., z].tobytes("F") for z in range(2)]
META = """NDims = 3
DimSize = 4 3 2
ElementType = MET_SHORT
ElementByteOrderMSB = False
"""
NRRD = """NRRD0004
# A comment: of no meaning.
type: short
dimension: 3
sizes: 4 3 2
endian: little
note:=of no meaning
"""
# The image file, its header, and its data files.
FORMS = {
    "local": ("a.mha", META + "ElementDataFile = LOCAL\n", {"a.mha": CONTENT}),
    "file": ("a.mhd", META + "ElementDataFile = a.raw\n", {"a.raw": CONTENT}),
    "compressed": (
        "a.mhd",
        META + "CompressedData = True\nElementDataFile = a.zraw\n",
        {"a.zraw": zlib.compress(CONTENT)},
    ),
    "list": (
        "a.mhd",
        META + "ElementDataFile = LIST\nz0.raw\nz1.raw\n",
        {"z0.raw": PLANES[0], "z1.raw": PLANES[1]},
    ),
    "numbered": (
        "a.mhd",
        META + "ElementDataFile = z%02d.raw 7 8 1\n",
        {"z07.raw": PLANES[0], "z08.raw": PLANES[1]},
    ),
    "skipped": (
        "a.mhd",
        META + "HeaderSize = 5\nElementDataFile = a.raw\n",
        {"a.raw": b"12345" + CONTENT},
    ),
    "last": (
        "a.mhd",
        META + "HeaderSize = -1\nElementDataFile = a.raw\n",
        {"a.raw": bytes(1000) + CONTENT},
    ),
    "nrrd": ("a.nrrd", NRRD + "encoding: raw\n\n", {"a.nrrd": CONTENT}),
    "nrrd gzip": ("a.nrrd", NRRD + "encoding: gz\n\n", {"a.nrrd": gzip.compress(CONTENT)}),
    "nrrd file": (
        "a.nhdr",
        NRRD + "encoding: gzip\ndata file: a.raw.gz\n",
        {"a.raw.gz": gzip.compress(CONTENT)},
    ),
    "nrrd skipped": (
        "a.nhdr",
        NRRD + "encoding: raw\nline skip: 1\nbyte skip: 3\ndatafile: a.raw\n",
        {"a.raw": b"a line\n123" + CONTENT},
    ),
    "nrrd last": (
        "a.nhdr",
        NRRD + "encoding: raw\nbyte skip: -1\ndata file: a.raw\n",
        {"a.raw": bytes(1000) + CONTENT},
    ),
    "nrrd list": (
        "a.nhdr",
        NRRD + "encoding: raw\ndata file: LIST\nz0.raw\nz1.raw\n",
        {"z0.raw": PLANES[0], "z1.raw": PLANES[1]},
    ),
    "nrrd text": (
        "a.nrrd",
        NRRD + "encoding: ascii\n\n",
        {"a.nrrd": " ".join(map(str, VOXELS.ravel("F"))).encode()},
    ),
}


def write(folder: Path, form: str) -> Path:
    name, header, files = FORMS[form]
    (folder / name).write_text(header)
    for file, content in files.items():
        with (folder / file).open("ab") as opened:
            opened.write(content)
    return folder / name


@pytest.mark.parametrize("form", FORMS)
def test_voxels_are_found_where_itk_reads_them(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form)
    data = find(path)
    assert data is not None
    assert {file.name for file in data.files} == set(FORMS[form][2])
    assert data.size(len(CONTENT)) == len(CONTENT)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, VOXELS)
    assert volume.remarks == ()


@pytest.mark.parametrize("form", ["file", "list", "numbered", "nrrd file", "nrrd list"])
def test_a_missing_data_file_is_named(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form)
    missing = tmp_path / next(iter(FORMS[form][2]))
    missing.unlink()
    with pytest.raises(UserError, match=rf"{path}: .*no such file: {missing}"):
        read(path)


def test_bzip2_is_read_to_its_checksum(tmp_path: Path) -> None:
    """ITK does not read it, but other readers write it."""
    content = bz2.compress(CONTENT)
    (tmp_path / "a.nrrd").write_bytes((NRRD + "encoding: bz2\n\n").encode() + content)
    data = find(tmp_path / "a.nrrd")
    assert data is not None
    assert data.size(0) == len(CONTENT)


@pytest.mark.parametrize(
    "header",
    [
        META,
        META + "ElementDataFile = z%s.raw 1 2 1\n",
        META + "ElementDataFile = z%d.raw 1 2000000 1\n",
        META + "ElementDataFile = z%d.raw 1 2 0\n",
        META + "CompressedData = True\nCompressedDataSize = 7\nElementDataFile = LOCAL\n",
        META + "x = y\n" * 20_000,
        "\n",
        NRRD.replace("dimension: 3", "dimension: 16"),
    ],
)
def test_headers_that_cannot_be_meant_are_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / ("a.nrrd" if header.startswith("NRRD") else "a.mha")
    path.write_text(header)
    with pytest.raises(UserError, match=r"cannot be read .*expected"):
        read(path)


def test_of_other_formats_nothing_is_known(tmp_path: Path) -> None:
    assert find(tmp_path / "a.vtk") is None
