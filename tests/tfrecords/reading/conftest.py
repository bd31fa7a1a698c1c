"""Record sets to read, and their batches."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfrecords.reading.batches import training_batches
from tfrecords.reading.recipe import Recipe
from tfrecords.reading.record_set import RecordSet, open_record_set


@pytest.fixture(scope="session")
def records(small_records: tuple[Any, Path]) -> RecordSet:
    """Slices of six subjects in three folds. Only to be read."""
    return open_record_set(small_records[1])


@pytest.fixture
def copy(small_records: tuple[Any, Path], tmp_path: Path) -> Path:
    """A record set to damage."""
    return Path(shutil.copytree(small_records[1], tmp_path / "records"))


@pytest.fixture(scope="session")
def batches() -> Callable[..., list[dict[str, np.ndarray]]]:
    """`batches(records, recipe, folds, seed, epochs, steps, subjects)`, in a list."""

    def read(
        records: RecordSet,
        recipe: Recipe,
        folds: tuple[str, ...] = ("0", "1", "2"),
        seed: int = 0,
        epochs: range = range(1),
        steps: int = 3,
        subjects: frozenset[str] | None = None,
    ) -> list[dict[str, np.ndarray]]:
        dataset = training_batches(records, folds, recipe, seed, epochs, steps, subjects)
        return list(dataset.as_numpy_iterator())

    return read
