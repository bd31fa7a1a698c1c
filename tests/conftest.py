"""What tests share: small datasets made on the spot, and real data where there is some."""

import copy
import gc
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tfrecords.files import CHECKSUM, VERSION, write_json
from tfrecords.records.manifest import Manifest
from tfrecords.sources import layouts
from tfrecords.sources.subject import Dataset
from tfrecords.writing import preprocessing
from tfrecords.writing.preprocessing import Options

ROOT = Path(__file__).parents[1]
MODALITIES = ("t1", "t2")
SHAPE = (12, 14, 10)
BODY = (slice(0, 12), slice(0, 12), slice(1, 9))


def pytest_collection_finish() -> None:
    """What is imported by now stays: garbage is not looked for among it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real datasets; tests that want it are skipped where there is none."""
    folder = Path(os.environ.get("TFADV_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        missing = f"{folder}: no real data; name its folder in the variable TFADV_DATA"
        if os.environ.get("TFADV_DATA_REQUIRED") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return folder


@dataclass(frozen=True)
class SmallDataset:
    """A CSV of small random subjects, [X, Y, Z] = SHAPE, with two modalities and labels 0, 1, 2.

    Of up to twelve subjects, every axial slice of the body tells whose it is: see `owner`.
    """

    folder: Path
    table: pd.DataFrame

    @property
    def csv(self) -> Path:
        return self.folder / "subjects.csv"

    def path(self, subject: str, column: str) -> Path:
        (name,) = self.table.loc[self.table["subject"] == subject, column]
        return self.folder / str(name)

    def array(self, subject: str, column: str) -> np.ndarray:
        return np.asarray(nib.Nifti1Image.from_filename(self.path(subject, column)).dataobj)

    def find(self, unlabelled: bool = False) -> Dataset:
        self.table.to_csv(self.csv, index=False)
        return layouts.find("table", self.csv, unlabelled=unlabelled)

    def unlabel(self, *subjects: str) -> None:
        """Takes the label maps away from these."""
        for subject in subjects:
            self.path(subject, "label").unlink()
            self.table.loc[self.table["subject"] == subject, "label"] = None

    @staticmethod
    def owner(label: np.ndarray) -> tuple[str, int]:
        """Subject and z of a whole axial slice of class indices [Y, X]."""
        return f"s{np.argmax(label[0] == 2)}", int(np.argmax(label[1] == 2))


def write_small_dataset(folder: Path, subjects: int = 6, seed: int = 0) -> SmallDataset:
    """Subjects s0, s1, ... of the groups high (two thirds) and low, in a folder of their own."""
    random = np.random.default_rng(seed)
    affine = np.array([[1, 0, 0, -6], [0, 1, 0, -7], [0, 0, 2, -10], [0, 0, 0, 1]], float)
    rows = []
    for number in range(subjects):
        name = f"s{number}"
        arrays = {m: np.zeros(SHAPE, np.int16) for m in MODALITIES}
        for array in arrays.values():
            array[BODY] = random.integers(1, 1000, array[BODY].shape)
        (folder / name).mkdir(parents=True)
        for kind, array in {**arrays, "label": _small_label(number)}.items():
            nib.Nifti1Image(array, affine).to_filename(folder / name / f"{kind}.nii.gz")
        files = {kind: f"{name}/{kind}.nii.gz" for kind in (*MODALITIES, "label")}
        group = "low" if number % 3 == 2 else "high"
        rows.append({"subject": name, **files, "group": group})
    dataset = SmallDataset(folder, pd.DataFrame(rows))
    dataset.find()
    return dataset


def _small_label(number: int) -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    label[3:9, 4:10, 2:8] = 1
    label[5:7, 6:8, 4:6] = 2
    # The marks that `owner` reads.
    label[number % SHAPE[0], 0, BODY[2]] = 2
    for z in range(*BODY[2].indices(SHAPE[2])):
        label[z, 1, z] = 2
    return label


@pytest.fixture(scope="session")
def small_dataset() -> Callable[..., SmallDataset]:
    """Writes a small dataset: `small_dataset(folder, subjects=6, seed=0)`."""
    return write_small_dataset


def _map_here(
    function: Callable[[Any], Any], items: Sequence[Any], *_: object, **__: object
) -> Iterable[tuple[int, Any]]:
    """`parallel_map` without its processes, whose start takes seconds; the last item first."""
    return [(index, function(items[index])) for index in reversed(range(len(items)))]


@pytest.fixture(scope="session")
def preprocess_here() -> Callable[..., Manifest]:
    """`preprocess(dataset, folder, **options)` in this process."""

    def preprocess(dataset: Dataset, folder: Path, **options: Any) -> Manifest:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(preprocessing, "processes", lambda workers: _map_here)
            return preprocessing.preprocess(
                dataset, folder, replace(Options(folds=2, workers=1), **options)
            )

    return preprocess


@pytest.fixture(scope="session")
def small_records(
    tmp_path_factory: pytest.TempPathFactory, preprocess_here: Callable[..., Manifest]
) -> tuple[SmallDataset, Path]:
    """A small dataset and its record set of slices in three folds. Only to be read."""
    folder = tmp_path_factory.mktemp("small")
    dataset = write_small_dataset(folder / "data")
    preprocess_here(dataset.find(), folder / "records", folds=3)
    return dataset, folder / "records"


# What does not belong into most entries of a JSON file.
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 256, 0.5, -0.5, 10**40, 10**400, 1e300, float("nan"), float("inf")),
    *("", "x", "0", "../x", "a/b", "\0", "\ud800", "unlabelled", "training", "patches"),
    *([], {}, [[]], {"a": 1}, [None], ["x"], [0, 0, 0], [-1, 1, 1], [1e300] * 4, 300 * [[1]]),
)


def _containers(content: Any) -> Iterator[tuple[Any, Any]]:
    """Each dictionary or list of JSON content, with the place of each of its entries."""
    if isinstance(content, dict | list):
        keys = list(content) if isinstance(content, dict) else range(len(content))
        for key in keys:
            yield content, key
            yield from _containers(content[key])


def _mutated(content: Any, random: np.random.Generator) -> Any:
    """A copy with one entry gone, doubled, exchanged, of another name, or of an odd value."""
    content = copy.deepcopy(content)
    places = list(_containers(content))
    container, key = places[random.integers(len(places))]
    other, other_key = places[random.integers(len(places))]
    how = random.integers(8)
    if how == 0:
        del container[key]
    elif how == 1 and isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))
    elif how == 2:
        container[key] = copy.deepcopy(other[other_key])
    elif how == 3 and isinstance(container, dict):
        container["odd"] = container.pop(key)
    else:
        container[key] = copy.deepcopy(ODD[random.integers(len(ODD))])
    return content


@pytest.fixture(scope="session")
def mutated() -> Callable[[Any, np.random.Generator], Any]:
    """`mutated(content, random)`: JSON content with one entry changed at random."""
    return _mutated


def _rewrite_json(path: Path, changes: dict[str, Any]) -> None:
    content = json.loads(path.read_text())
    version = content.pop(VERSION)
    del content[CHECKSUM]
    write_json(path, content | changes, version)


@pytest.fixture(scope="session")
def rewrite_json() -> Callable[[Path, dict[str, Any]], None]:
    """Changes entries of a JSON file of ours, whose checksum then holds again."""
    return _rewrite_json
