"""Every fault is found, with its file's name, before anything is written."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.records.manifest import Manifest, load_manifest
from tfrecords.sources.subject import LabelClass, Subject
from tfrecords.writing import preprocessing
from tfrecords.writing.preprocessing import Options
from tfrecords.writing.scan import scan


def edit(
    path: Path,
    array: Callable[[np.ndarray], np.ndarray] = lambda array: array,
    affine: Callable[[np.ndarray], np.ndarray] = lambda affine: affine,
) -> None:
    image = nib.Nifti1Image.from_filename(path)
    changed = array(np.asarray(image.dataobj))
    nib.Nifti1Image(changed, affine(image.affine)).to_filename(path)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def crop(path: Path) -> None:
    edit(path, lambda array: array[:-1])


def shift(path: Path) -> None:
    edit(path, affine=lambda affine: affine + np.outer((1, 0, 0, 0), (0, 0, 0, 1)))


def mirror(path: Path) -> None:
    """The same intensities at the same places in the world, stored from right to left."""
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = 11
    edit(path, lambda array: array[::-1], lambda affine: affine @ flip)


def put(value: float, dtype: type = np.float32) -> Callable[[Path], None]:
    def put_into(path: Path) -> None:
        def changed(array: np.ndarray) -> np.ndarray:
            array = array.astype(dtype)
            array[4, 5, 6] = value
            return array

        edit(path, changed)

    return put_into


def flip(path: Path) -> None:
    """A bit of the last voxels' compressed data."""
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    path.write_bytes(content)


# What happens to which file, and what is said of it.
FAULTS: list[tuple[str, Callable[[Path], object], str]] = [
    ("t2", Path.unlink, "no such file"),
    ("label", Path.unlink, "no such file"),
    ("t1", truncate, "cannot be read"),
    ("t2", crop, "grid (11x14x10 voxels"),
    ("t2", shift, "origin (-5, -7, -10)) differs from"),
    ("t2", mirror, "LAS, origin"),
    ("label", crop, "grid (11x14x10 voxels"),
    ("label", shift, "origin (-5, -7, -10)) differs from"),
    ("label", mirror, "LAS, origin"),
    ("t1", put(np.nan), "1 voxels are NaN or infinite"),
    ("t2", put(np.inf), "1 voxels are NaN or infinite"),
    ("label", put(0.5), "labels are not whole numbers (for example [0.5])"),
    ("label", put(np.nan), "labels are not whole numbers (for example [nan])"),
    ("label", put(300, np.int16), "unknown labels [300], expected 0 to 255"),
    ("label", put(-1, np.int16), "unknown labels [-1], expected 0 to 255"),
    ("t1", lambda path: edit(path, np.zeros_like), "the image is empty"),
    ("t1", put(1e39, np.float64), "1 voxels are beyond float32"),
    ("t2", flip, "its data are damaged"),
    (
        "t1",
        lambda path: edit(path, lambda a: np.stack([a, a], -1)),
        "received shape (12, 14, 10, 2)",
    ),
    ("label", lambda path: edit(path, lambda a: np.stack([a, a], -1)), "expected a 3D label map"),
]
# Subjects beyond those with a fault: two with the same images, two with one name, two good ones.
TWINS = (f"s{len(FAULTS)}", f"s{len(FAULTS) + 1}")
NAMESAKES = (f"s{len(FAULTS) + 2}", f"s{len(FAULTS) + 3}")
GOOD = (f"s{len(FAULTS) + 4}", f"s{len(FAULTS) + 5}")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory, small_dataset: Callable[..., Any]) -> Any:
    """A dataset with every fault, each in a subject of its own."""
    dataset = small_dataset(tmp_path_factory.mktemp("faulty") / "data", len(FAULTS) + 6)
    for number, (column, damage, _) in enumerate(FAULTS):
        damage(dataset.path(f"s{number}", column))
    for column in ("t1", "t2"):
        shutil.copy(dataset.path(TWINS[0], column), dataset.path(TWINS[1], column))
    dataset.table.loc[dataset.table["subject"] == NAMESAKES[1], "subject"] = NAMESAKES[0]
    return dataset


@pytest.fixture(scope="module")
def refusal(faulty: Any, preprocess_here: Callable[..., Manifest]) -> str:
    """What preprocessing the faulty dataset says. It writes nothing."""
    records = faulty.folder / "records"
    with pytest.raises(UserError) as error:
        preprocess_here(faulty.find(), records)
    assert not records.exists()
    return str(error.value)


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_fault_is_reported_with_its_file(faulty: Any, refusal: str, number: int) -> None:
    column, _, message = FAULTS[number]
    (line,) = (line for line in refusal.splitlines() if line.startswith(f"  s{number}: "))
    assert f"{faulty.path(f's{number}', column)}: " in line
    assert message in line


def test_duplicates_are_reported_with_each_other(faulty: Any, refusal: str) -> None:
    lines = refusal.splitlines()
    for twin, other in (TWINS, TWINS[::-1]):
        image = faulty.path(twin, "t1")
        assert f"  {twin}: {image}: duplicate subject: the same images as {other}" in lines
    for folder in NAMESAKES:
        image = faulty.folder / folder / "t1.nii.gz"
        assert f"  {NAMESAKES[0]}: {image}: duplicate subject: 2 have this name" in lines


def test_good_subjects_are_not_accused(refusal: str) -> None:
    assert refusal.startswith(f"{len(FAULTS) + 4} of {len(FAULTS) + 6} subjects are not valid")
    assert "--skip_invalid" in refusal
    for name in GOOD:
        assert f"{name}: " not in refusal


def test_invalid_subjects_can_be_left_out_and_are_noted(
    faulty: Any, refusal: str, tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    preprocess_here(faulty.find(), tmp_path / "records", skip_invalid=True)
    manifest = load_manifest(tmp_path / "records")
    assert tuple(s.name for s in manifest.subjects) == GOOD
    noted = [f"  {name}: {text}" for name, found in manifest.skipped.items() for text in found]
    assert noted == refusal.splitlines()[1:]
    assert sum(manifest.class_voxels) == 2 * 12 * 14 * 10


def test_nothing_left_is_an_error(
    tmp_path: Path, small_dataset: Callable[..., Any], preprocess_here: Callable[..., Manifest]
) -> None:
    dataset = small_dataset(tmp_path / "data", 2)
    for name in ("s0", "s1"):
        dataset.path(name, "t1").unlink()
    with pytest.raises(UserError, match="no valid subject is left"):
        preprocess_here(dataset.find(), tmp_path / "records", skip_invalid=True)
    assert not (tmp_path / "records").exists()


def test_all_faults_of_one_subject_are_reported_together(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 1)
    dataset = data.find()
    t1, t2, label = (data.path("s0", column) for column in ("t1", "t2", "label"))
    t1.unlink()
    put(np.nan)(t2)
    put(7.5)(label)
    shift(label)
    findings = scan(dataset.subjects[0], dataset).findings
    assert len(findings) == 4
    for finding, path, words in zip(
        findings, (t1, t2, label, label), ("no such file", "NaN", "whole", "differs"), strict=True
    ):
        assert finding.startswith(f"{path}: ")
        assert words in finding


def test_labels_without_a_class_are_unknown(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    dataset = small_dataset(tmp_path / "data", 1).find()
    classes = (LabelClass("background", (0,)), LabelClass("both", (2, 4)))
    (finding,) = scan(dataset.subjects[0], replace(dataset, classes=classes)).findings
    assert finding.endswith("unknown labels [1], expected [0, 2, 4]")


def test_ignored_labels_are_known_unless_there_is_nothing_else(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 1)
    classes = (LabelClass("background", (0,)), LabelClass("a", (1,)))
    dataset = replace(data.find(), classes=classes, ignored=(2,))
    found = scan(dataset.subjects[0], dataset)
    assert found.findings == ()
    assert set(found.label_counts) == {0, 1, 2}
    label = data.path("s0", "label")
    put(3)(label)
    (finding,) = scan(dataset.subjects[0], dataset).findings
    assert finding.endswith("unknown labels [3], expected [0, 1, 2]")
    edit(label, lambda array: np.full_like(array, 2))
    (finding,) = scan(dataset.subjects[0], dataset).findings
    assert finding == (
        f"{label}: every voxel is ignored (label 2), expected some that are annotated"
    )


def test_number_of_modalities_is_the_datasets(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 1)
    dataset = data.find()
    (subject,) = dataset.subjects
    alone = replace(subject, images=subject.images[:1])
    (finding,) = scan(alone, dataset).findings
    assert finding == f"{subject.images[0]}: expected 2 modalities, received 1"
    both = np.stack([data.array("s0", "t1"), data.array("s0", "t2")], axis=-1)
    edit(subject.images[0], lambda _: both)
    assert scan(alone, dataset).findings == ()


def test_channels_that_are_left_out_of_a_4d_file_are_not_looked_at(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 1)
    dataset = data.find()
    t1, t2 = (data.array("s0", name).astype(np.float32) for name in ("t1", "t2"))
    path = dataset.subjects[0].images[0]
    edit(path, lambda _: np.stack([t1, np.full_like(t1, np.nan), t2], axis=-1))

    def with_channels(*channels: int) -> Subject:
        return replace(dataset.subjects[0], images=(path,), channels=channels)

    assert scan(with_channels(1, -1, 0), dataset).findings == ()
    assert scan(with_channels(0, 1, -1), dataset).findings == (
        f"{path} channel 1: {t1.size} voxels are NaN or infinite",
    )
    # As many channels as the dataset has, whether they are kept or not.
    for channels, expected in (((0, 1), 2), ((0, -1, -1, 1), 4)):
        finding = f"{path}: expected {expected} modalities, received 3"
        assert finding in scan(with_channels(*channels), dataset).findings


def test_scan_of_a_good_subject_tells_what_it_holds(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 1)
    dataset = data.find()
    found = scan(dataset.subjects[0], dataset)
    values, counts = np.unique(data.array("s0", "label"), return_counts=True)
    assert found.label_counts == dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert found.grid.shape == (12, 14, 10)
    assert found.grid.spacing_mm == (1, 1, 2)
    digests = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in dataset.subjects[0].files
    }
    assert found.checksums == digests


@pytest.mark.parametrize(
    ("t1", "t2", "stored"),
    [
        ("uint8", "uint8", "uint8"),
        ("uint8", "int16", "int16"),
        (">i2", ">i2", "int16"),
        ("uint16", "int16", "int32"),
        ("uint32", "uint32", "float16"),
        ("float32", "int16", "float16"),
        ("float64", "float64", "float16"),
    ],
)
def test_integers_stay_integers_and_floats_become_float16(
    tmp_path: Path, small_dataset: Callable[..., Any], t1: str, t2: str, stored: str
) -> None:
    dataset = small_dataset(tmp_path / "data", 1).find()
    for path, dtype in zip(dataset.subjects[0].images, (t1, t2), strict=True):
        array = np.asarray(nib.Nifti1Image.from_filename(path).dataobj)
        nib.Nifti1Image((array // 10).astype(dtype), np.diag([1, 1, 2, 1])).to_filename(path)
    label = dataset.subjects[0].label
    edit(label, affine=lambda _: np.diag([1, 1, 2, 1]))
    assert scan(dataset.subjects[0], dataset).dtype == stored


def test_without_a_label_map_images_alone_are_looked_at(
    tmp_path: Path, small_dataset: Callable[..., Any]
) -> None:
    data = small_dataset(tmp_path / "data", 2)
    data.unlabel("s1")
    dataset = data.find(unlabelled=True)
    subject = dataset.subjects[1]
    found = scan(subject, dataset)
    assert (found.findings, found.label_counts, found.dtype) == ((), {}, "int16")
    assert (found.grid.shape, found.grid.spacing_mm) == ((12, 14, 10), (1, 1, 2))
    assert set(found.checksums) == {str(data.path("s1", column)) for column in ("t1", "t2")}
    put(np.nan)(subject.images[0])
    shift(subject.images[1])
    nan, grid = scan(subject, dataset).findings
    assert nan.startswith(f"{subject.images[0]}: 1 voxels are NaN")
    assert grid.startswith(f"{subject.images[1]}: grid ")


def test_a_subject_that_ends_its_process_is_invalid_and_can_be_left_out(
    tmp_path: Path,
    small_dataset: Callable[..., Any],
    preprocess_here: Callable[..., Manifest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = small_dataset(tmp_path / "data", 3)
    dataset = data.find()

    def map_here(
        function: Any, items: Any, *_: object, named: Any = str, lost: Any = None
    ) -> list[tuple[int, Any]]:
        return [
            (i, lost(item, "SIGSEGV") if lost and named(item) == "s1" else function(item))
            for i, item in enumerate(items)
        ]

    options = Options(folds=2)
    monkeypatch.setattr(preprocessing, "processes", lambda workers: map_here)
    with pytest.raises(UserError) as raised:
        preprocessing.preprocess(dataset, tmp_path / "records", options)
    (line,) = (line for line in str(raised.value).splitlines() if line.startswith("  s1: "))
    assert str(data.path("s1", "t1")) in line
    assert "reading them ended the process by SIGSEGV" in line
    options = replace(options, skip_invalid=True)
    manifest = preprocessing.preprocess(dataset, tmp_path / "records", options)
    assert [s.name for s in manifest.subjects] == ["s0", "s2"]
    assert list(manifest.skipped) == ["s1"]


def strip_forms(path: Path) -> None:
    image = nib.Nifti1Image.from_filename(path)
    image.set_qform(None, 0)
    image.set_sform(None, 0)
    image.to_filename(path)


@pytest.mark.parametrize("subjects", [1, 7])
def test_what_is_odd_about_headers_is_told_in_one_line(
    tmp_path: Path,
    small_dataset: Callable[..., Any],
    preprocess_here: Callable[..., Manifest],
    caplog: pytest.LogCaptureFixture,
    subjects: int,
) -> None:
    data = small_dataset(tmp_path / "data", 8)
    for number in range(subjects):
        for column in ("t1", "t2", "label"):
            strip_forms(data.path(f"s{number}", column))
    preprocess_here(data.find(), tmp_path / "records")
    (warning,) = (r.getMessage() for r in caplog.records if r.levelname == "WARNING")
    first = f"{data.path('s0', 't1')}: its header has neither a qform nor an sform"
    who = "s0: " if subjects == 1 else "7 subjects: s0, s1, s2, s3, s4 and 2 more: for example "
    assert warning.startswith(who + first)
