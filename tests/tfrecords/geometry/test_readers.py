"""Damaged files are refused or give the same voxels; headers are not believed blindly."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tfrecords.errors import UserError
from tfrecords.geometry import streams
from tfrecords.geometry.nifti import read, read_volume
from tfrecords.geometry.readers import NO_FORMS, NO_OFFSET, OTHER_FORMS

SHAPE = (30, 28, 26)
FLIPS = 40
# The image file, and the file of its compressed voxels.
COMPRESSED = [
    ("a.nii.gz", "a.nii.gz"),
    ("a.mha", "a.mha"),
    ("a.nrrd", "a.nrrd"),
    ("a.mhd", "a.zraw"),
    ("a.nhdr", "a.raw.gz"),
]
UNCOMPRESSED = [
    ("a.nii", "a.nii"),
    ("a.mha", "a.mha"),
    ("a.nrrd", "a.nrrd"),
    ("a.mhd", "a.raw"),
    ("a.nhdr", "a.raw"),
]


def voxels() -> np.ndarray:
    """As compressible as scans are."""
    random = np.random.default_rng(0)
    return np.cumsum(random.integers(-3, 4, SHAPE), axis=0).astype(np.int16)


def write(path: Path, *, compressed: bool = True) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(voxels().T), str(path), compressed)


@pytest.mark.parametrize(("name", "data"), COMPRESSED)
def test_a_flipped_bit_of_compressed_voxels_is_refused(
    tmp_path: Path, name: str, data: str
) -> None:
    write(tmp_path / name)
    np.testing.assert_array_equal(read(tmp_path / name)[0], voxels())
    content = (tmp_path / data).read_bytes()
    random = np.random.default_rng(1)
    start = len(content) - 5000  # Beyond every header.
    refused = 0
    for place in (*random.integers(start, len(content), FLIPS).tolist(), len(content) - 1):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(random.integers(8))
        (tmp_path / data).write_bytes(damaged)
        try:
            array, _ = read(tmp_path / name)
        except UserError:
            refused += 1
        else:  # Such as bits that fill a stream's last byte.
            np.testing.assert_array_equal(array, voxels())
    assert refused >= FLIPS - 1


@pytest.mark.parametrize(("name", "data"), COMPRESSED)
def test_compressed_voxels_that_are_cut_off_are_refused(
    tmp_path: Path, name: str, data: str
) -> None:
    write(tmp_path / name)
    content = (tmp_path / data).read_bytes()
    for cut in (1, 6, 2000):
        (tmp_path / data).write_bytes(content[:-cut])
        with pytest.raises(UserError, match="cannot be read"):
            read(tmp_path / name)


@pytest.mark.parametrize(("name", "data"), UNCOMPRESSED)
def test_of_uncompressed_voxels_as_many_are_there_as_declared(
    tmp_path: Path, name: str, data: str
) -> None:
    write(tmp_path / name, compressed=False)
    content = (tmp_path / data).read_bytes()
    assert read_volume(tmp_path / name).remarks == ()
    (tmp_path / data).write_bytes(content[:-1])
    with pytest.raises(UserError, match=f"{name}: cannot be read"):
        read(tmp_path / name)
    (tmp_path / data).write_bytes(content + bytes(100))
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.array, voxels())
    assert volume.remarks == ("some bytes follow the last voxel; they are not read",)
    plane = SHAPE[0] * SHAPE[1] * 2
    (tmp_path / data).write_bytes(content + bytes(plane))
    with pytest.raises(UserError, match=f"{name}: cannot be read .{plane} bytes follow the last"):
        read(tmp_path / name)


def test_garbage_after_a_gzip_stream_is_refused_and_members_are_read_on(tmp_path: Path) -> None:
    write(tmp_path / "a.nii", compressed=False)
    content = (tmp_path / "a.nii").read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(content[:7000]) + gzip.compress(content[7000:]))
    np.testing.assert_array_equal(read(path)[0], voxels())
    path.write_bytes(gzip.compress(content) + b"garbage")
    with pytest.raises(UserError, match=r"b.nii.gz: cannot be read .its data are damaged"):
        read(path)


@pytest.mark.parametrize(("name", "data"), [*COMPRESSED, *UNCOMPRESSED[3:]])
def test_the_checksum_is_of_the_file_and_of_its_voxels(
    tmp_path: Path, name: str, data: str
) -> None:
    write(tmp_path / name, compressed=data not in ("a.raw",))
    content = (tmp_path / name).read_bytes()
    if data != name:
        content += (tmp_path / data).read_bytes()
    expected = hashlib.sha256(content).hexdigest()
    assert read_volume(tmp_path / name).sha256 == expected
    assert read_volume(tmp_path / name, expected).sha256 == expected
    other = hashlib.sha256(b"").hexdigest()
    with pytest.raises(UserError, match=f"{name}: the file has changed .*{other}, received"):
        read_volume(tmp_path / name, other)


def edit(path: Path, change: Callable[[np.ndarray], None]) -> None:
    """Changes the header of an uncompressed NIfTI-1 file."""
    content = bytearray(path.read_bytes())
    change(np.ndarray((), nib.Nifti1Header.template_dtype, content))
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_header_that_declares_gigabytes_is_refused_before_there_is_room_for_them(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enlarge(header: np.ndarray) -> None:
        header["dim"][1:4] = 30000

    write(tmp_path / "a.nii", compressed=False)
    edit(tmp_path / "a.nii", enlarge)
    if name.endswith("gz"):
        (tmp_path / name).write_bytes(gzip.compress((tmp_path / "a.nii").read_bytes()))
    monkeypatch.setattr(streams, "free_memory", lambda: None)
    with pytest.raises(UserError, match=f"{name}: cannot be read .its header says 54000000000352"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.nrrd"])
def test_what_does_not_fit_into_free_memory_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / name)
    monkeypatch.setattr(streams, "SMALL_BYTES", 0)
    monkeypatch.setattr(streams, "free_memory", lambda: voxels().nbytes - 1)
    with pytest.raises(UserError, match=f"{name}: cannot be read .it takes .* bytes of memory"):
        read(tmp_path / name)


@pytest.mark.parametrize("dimensions", ["99", "99999999", "0", "2", "x"])
def test_dimensions_that_end_the_process_in_itk_are_refused(
    tmp_path: Path, dimensions: str
) -> None:
    write(tmp_path / "a.mha")
    content = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(
        content.replace(b"NDims = 3", f"NDims = {dimensions}".encode())
    )
    with pytest.raises(UserError, match=f"expected three dimensions, received {dimensions}"):
        read(tmp_path / "a.mha")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("scaling", [(None, None), (2.0, 0.0), (1.0, -7.5), (0.01, 3.0)])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_values_and_types_are_those_of_nibabel(
    tmp_path: Path, order: str, scaling: tuple, kind: type, dtype: str
) -> None:
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.dtype(order + dtype))
    image = kind(voxels().astype(dtype), np.diag([1, 2, 3, 1]), header)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"of any length"))
    image.header.set_slope_inter(*scaling)
    for name in ("a.nii", "a.nii.gz"):
        image.to_filename(tmp_path / name)
        expected = nib.load(tmp_path / name)
        array, grid = read(tmp_path / name)
        np.testing.assert_array_equal(array, np.asanyarray(expected.dataobj))
        assert array.dtype == np.asanyarray(expected.dataobj).dtype
        np.testing.assert_array_equal(grid.matrix, expected.affine)


def forms(path: Path, q_code: int, s_code: int, shift_mm: float = 0.0) -> None:
    image = nib.Nifti1Image(voxels(), None)
    affine = np.diag([1.0, 1, 2, 1])
    image.set_qform(affine, q_code)
    affine[1, 3] = shift_mm
    image.set_sform(affine, s_code)
    image.to_filename(path)


@pytest.mark.parametrize(
    ("q_code", "s_code", "shift_mm", "remarks"),
    [
        (1, 1, 0.0, ()),
        (1, 2, 0.4, ()),
        (1, 0, 5.0, ()),
        (0, 1, 5.0, ()),
        (1, 1, 0.6, (OTHER_FORMS,)),
        (0, 0, 0.0, (NO_FORMS,)),
    ],
)
def test_headers_that_do_not_say_where_their_voxels_lie_are_remarked(
    tmp_path: Path, q_code: int, s_code: int, shift_mm: float, remarks: tuple[str, ...]
) -> None:
    forms(tmp_path / "a.nii", q_code, s_code, shift_mm)
    assert read_volume(tmp_path / "a.nii").remarks == remarks


def test_quaternions_that_mean_no_rotation_contradict_the_sform(tmp_path: Path) -> None:
    forms(tmp_path / "a.nii", 1, 1)

    def break_quaternions(header: np.ndarray) -> None:
        header["quatern_b"] = header["quatern_c"] = 0.9

    edit(tmp_path / "a.nii", break_quaternions)
    assert read_volume(tmp_path / "a.nii").remarks == (OTHER_FORMS,)


def test_voxels_follow_a_header_without_an_offset(tmp_path: Path) -> None:
    """nibabel would take the header's own bytes for voxels."""
    forms(tmp_path / "a.nii", 1, 1)

    def forget_offset(header: np.ndarray) -> None:
        header["vox_offset"] = 0

    edit(tmp_path / "a.nii", forget_offset)
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.array, voxels())
    assert volume.remarks == (NO_OFFSET,)


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hashed is what is decompressed."""
    write(tmp_path / "a.nii.gz")
    opened: list[Path] = []
    path_open = Path.open

    def counting(path: Path, *args: object, **kwargs: object) -> object:
        opened.append(path)
        return path_open(path, *args, **kwargs)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(Path, "open", counting)
    read_volume(tmp_path / "a.nii.gz")
    assert [path for path in opened if path.parent == tmp_path] == [tmp_path / "a.nii.gz"]


def test_zlib_streams_are_read_to_their_checksum(tmp_path: Path) -> None:
    content = os.urandom(3 * streams.CHUNK_BYTES // 2)
    path = tmp_path / "data"
    path.write_bytes(zlib.compress(content, 1))
    with path.open("rb") as file:
        assert streams.inflated(file) == len(content)
    path.write_bytes(zlib.compress(content, 1)[:-1] + b"\0")
    with path.open("rb") as file, pytest.raises(streams.DAMAGES):
        streams.inflated(file)
