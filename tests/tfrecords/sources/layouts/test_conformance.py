"""What every source layout has to do. A new layout is found by itself, and wants an example."""

import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfrecords.errors import SettingError, UserError
from tfrecords.geometry.nifti import read
from tfrecords.geometry.resample import to_source
from tfrecords.reading.record_set import open_record_set, subject_volumes
from tfrecords.records.manifest import Manifest
from tfrecords.sources import layouts
from tfrecords.sources.images import load_image
from tfrecords.sources.subject import UNLABELLED, Dataset, select_modalities
from tfrecords.writing.scan import scan

EXAMPLES = Path(__file__).parent / "examples"
SHAPE = (8, 7, 6)
AFFINE = np.array([[-1.0, 0, 0, 4], [0, 1, 0, -3], [0, 0, 2, 5], [0, 0, 0, 1]])


def write_image(path: Path, seed: int, channels: tuple[int, ...] = ()) -> None:
    """Positive everywhere, so that all of it is body."""
    values = np.random.default_rng(seed).integers(1, 999, SHAPE + channels)
    _write(path, values.astype(np.int16))


def write_label(path: Path, seed: int, *values: int) -> None:
    _write(path, np.random.default_rng(seed).choice(np.array(values, np.uint8), SHAPE))


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(array, AFFINE).to_filename(path)


def example_of(name: str) -> ModuleType:
    path = EXAMPLES / f"{name}.py"
    assert path.is_file(), (
        f"{path}: no such file. Write there, for --dataset {name},\n"
        "def write(folder: Path, image: Callable[..., None], label: Callable[..., None]) -> Path:\n"
        "which makes two or more subjects in the folder, by image(path, seed, channels=()) and "
        "label(path, seed, *values), and returns --data_dir. Where the layout can hold subjects "
        "without a label map, one more of them has none; if they are found in another --data_dir, "
        "with_unlabelled(data_dir) returns it"
    )
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Case:
    """An example of a layout as it was found, and its record set. Only to be read."""

    name: str
    data_dir: Path
    dataset: Dataset
    records: Path
    manifest: Manifest


@pytest.fixture(scope="module", params=layouts.names())
def case(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    preprocess_here: Callable[..., Manifest],
) -> Iterator[Case]:
    name: str = request.param
    example = example_of(name)

    def map_here(
        function: Callable[[Any], Any], items: Any, *_: object, **__: object
    ) -> list[tuple[int, Any]]:
        return [(number, function(item)) for number, item in enumerate(items)]

    folder = tmp_path_factory.mktemp(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # Some layouts write to a folder below.
        for module in ("demo_tissue", "prostate"):
            patch.setattr(f"tfrecords.sources.layouts.{module}.parallel_map", map_here)
        for module in ("demo_tissue", "demo_tumour"):
            patch.setattr(f"tfrecords.sources.layouts.{module}.SUBJECTS", 2)
        (folder / "sources").mkdir()
        data_dir = example.write(folder / "sources", write_image, write_label)
        layouts.make(name, data_dir, workers=1)
        dataset = layouts.find(name, data_dir)
        manifest = preprocess_here(dataset, folder / "records")
        yield Case(name, data_dir, dataset, folder / "records", manifest)


def test_every_example_is_of_a_layout() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= set(layouts.names())


@pytest.mark.slow
def test_names_are_unique_and_fit_for_files(case: Case) -> None:
    names = [subject.name for subject in case.dataset.subjects]
    assert len(set(names)) == len(names) > 1
    for subject in case.dataset.subjects:
        for text in (subject.name, subject.group, subject.fold or "0"):
            assert re.fullmatch(r"[\w-][\w .-]*", text)
    assert case.dataset.name == case.name
    assert {subject.group for subject in case.dataset.subjects} <= set(case.dataset.groups)


def test_finding_again_finds_the_same(case: Case) -> None:
    assert layouts.find(case.name, case.data_dir) == case.dataset


def test_files_are_whole_on_one_grid_with_labels_of_the_classes(case: Case) -> None:
    classes = case.dataset.classes
    known = {value for one in classes for value in one.labels}
    assert len(known) == sum(len(one.labels) for one in classes)
    for subject in case.dataset.subjects:
        assert len(subject.images) in (1, len(case.dataset.modalities))
        found = scan(subject, case.dataset)
        assert found.findings == ()
        assert set(found.label_counts) <= known or not classes
        assert len(found.label_counts) > 1
    unions = {name for region in case.dataset.regions.values() for name in region}
    assert unions <= {one.name for one in classes}


def test_every_subject_is_in_one_fold(case: Case) -> None:
    assert len(case.manifest.folds) > 1
    owners: dict[str, str] = {}
    for shard in case.manifest.shards:
        for name in shard.subjects:
            assert owners.setdefault(name, shard.fold) == shard.fold
    assert sorted(owners) == sorted(subject.name for subject in case.dataset.subjects)


def test_each_label_map_is_read_back_as_it_is_in_its_file(case: Case) -> None:
    origins = {record.name: record for record in case.manifest.subjects}
    files = {subject.name: subject.label for subject in case.dataset.subjects}
    index = {value: i for i, one in enumerate(case.manifest.classes) for value in one.labels}
    records = open_record_set(case.records)
    for volume in subject_volumes(records, case.manifest.folds):
        origin = origins[volume.subject]
        working = np.zeros(origin.working.shape[::-1], np.uint8)
        z, y, x = (
            slice(start, start + extent)
            for start, extent in zip(volume.position, volume.label.shape, strict=True)
        )
        working[z, y, x] = volume.label
        source, grid = read(files.pop(volume.subject))
        assert grid.matches(origin.source)
        expected = np.vectorize(index.__getitem__, otypes=[np.uint8])(source)
        np.testing.assert_array_equal(to_source(working, origin.working, grid), expected)
    assert not files


def test_an_absent_file_is_reported_by_its_name(
    case: Case, tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    for path in case.dataset.subjects[1].files:
        aside = path.rename(tmp_path / "aside")
        try:
            with pytest.raises(UserError, match=f"{re.escape(str(path))}: no such file"):
                preprocess_here(case.dataset, tmp_path / "records")
        finally:
            aside.rename(path)
    assert not (tmp_path / "records").exists()


def test_a_wrong_label_is_reported_with_its_file(
    case: Case, tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    path = case.dataset.subjects[0].label
    assert path is not None
    content = path.read_bytes()
    array, grid = read(path)
    array = array.astype(np.int16)
    array[0, 0, 0] = 300
    try:
        nib.Nifti1Image(array, grid.matrix).to_filename(path)
        with pytest.raises(UserError, match=rf"{re.escape(str(path))}: unknown labels \[300\]"):
            preprocess_here(case.dataset, tmp_path / "records")
    finally:
        path.write_bytes(content)


def test_modalities_are_selected_in_any_order(case: Case) -> None:
    names = case.dataset.modalities
    for wanted in (names[::-1], names[-1:]):
        dataset = select_modalities(case.dataset, wanted)
        assert dataset.modalities == wanted
        for subject, whole in zip(dataset.subjects, case.dataset.subjects, strict=True):
            found, _ = load_image(subject, len(wanted))
            every, _ = load_image(whole, len(names))
            order = [names.index(name) for name in wanted]
            np.testing.assert_array_equal(found, every[..., order])


def test_subjects_without_a_label_map_are_found_where_there_can_be_some(
    case: Case, tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    if not layouts.can_be_unlabelled(case.name):
        with pytest.raises(SettingError, match=f"unlabelled: expected .* received {case.name}"):
            layouts.find(case.name, case.data_dir, unlabelled=True)
        return
    example = example_of(case.name)
    same = not hasattr(example, "with_unlabelled")
    data_dir = case.data_dir if same else example.with_unlabelled(case.data_dir)
    dataset = layouts.find(case.name, data_dir, unlabelled=True)
    labelled = tuple(subject for subject in dataset.subjects if subject.label is not None)
    assert labelled == case.dataset.subjects
    manifest = preprocess_here(dataset, tmp_path / "records")
    others = {subject.name for subject in dataset.subjects if subject.label is None}
    assert others
    assert {record.name for record in manifest.subjects if record.fold == UNLABELLED} == others
