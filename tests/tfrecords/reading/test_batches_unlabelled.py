"""Images without label maps beside labelled ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tfrecords.reading.recipes import PLAIN, Batches
from tfrecords.errors import UserError
from tfrecords.reading import batches as pipeline
from tfrecords.reading.batches import Parts
from tfrecords.reading.normalisation import normalise, stored_statistics
from tfrecords.reading.record_set import (
    RecordSet,
    open_record_set,
)
from tfrecords.records.intensities import foreground_statistics
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Patches, Slices, View, Volumes


@pytest.fixture
def partly_labelled(
    small_dataset: Callable[..., Any], preprocess_here: Callable[..., Manifest], tmp_path: Path
) -> Callable[..., tuple[Any, RecordSet]]:
    """Makes six subjects, those of these names without label map, and their record set."""

    def made(view: View, *names: str) -> tuple[Any, RecordSet]:
        data = small_dataset(tmp_path / "data", 6)
        data.unlabel(*names)
        preprocess_here(data.find(unlabelled=True), tmp_path / "records", view=view)
        return data, open_record_set(tmp_path / "records")

    return made


def test_unlabelled_images_need_subjects_without_label_map(
    batches: Batches, records: RecordSet
) -> None:
    recipe = replace(PLAIN, view=Volumes(), size=(4, 4, 4), unlabelled=True)
    with pytest.raises(UserError, match=r"found none\. Run launch/preprocess.py --unlabelled"):
        batches(records, recipe)


@pytest.mark.slow
@pytest.mark.parametrize("view", [Slices(), Patches(5, 3, 2)])
def test_unlabelled_images_are_cut_from_volumes(
    partly_labelled: Callable[..., tuple[Any, RecordSet]], view: View
) -> None:
    _, records = partly_labelled(view, "s4", "s5")
    size = (8, 8) if view.kind == "slices" else (5, 5)
    recipe = replace(PLAIN, view=view, size=size, minibatch=3, unlabelled=True)
    folds = records.manifest.folds
    batches = list(pipeline.training_batches(records, folds, recipe, 0, range(2), 4))
    unlabelled = np.concatenate([batch["unlabelled"] for batch in batches])
    labelled = np.concatenate([batch["image"] for batch in batches])
    assert unlabelled.shape == labelled.shape == (24, *size, labelled.shape[-1])
    # Other places each time, and the same ones for the same seed.
    assert len(np.unique(unlabelled.reshape(24, -1), axis=0)) > 8
    # A worker's are read from where they lie.
    own = pipeline.training_batches(records, folds, recipe, 0, range(2), 4, parts=Parts(1, 1, 3))
    for batch, part in zip(batches, own, strict=True):
        np.testing.assert_array_equal(batch["unlabelled"][1:2], part["unlabelled"])
        np.testing.assert_array_equal(batch["image"][1:2], part["image"])
    again = pipeline.training_batches(records, folds, recipe, 0, range(2), 4)
    for batch, same in zip(batches, again, strict=True):
        np.testing.assert_array_equal(batch["unlabelled"], same["unlabelled"])


@pytest.mark.parametrize("view", [Slices(), Volumes()], ids=str)
def test_images_of_labelled_subjects_come_without_labels(
    partly_labelled: Callable[..., tuple[Any, RecordSet]], view: View
) -> None:
    """Of those that are named, whatever their fold, and of nobody else."""
    data, records = partly_labelled(view, "s5")
    size = (12, 12) if view.kind == "slices" else (8, 12, 12)
    recipe = replace(PLAIN, view=view, size=size, minibatch=2, unlabelled=True)
    labelled, unlabelled = frozenset({"s0"}), frozenset({"s3", "s5"})
    found = pipeline.training_batches(
        records, records.manifest.folds, recipe, 0, range(1), 8, labelled, unlabelled
    )
    seen = np.concatenate([batch["unlabelled"] for batch in found.as_numpy_iterator()])
    expected = {name: _body(data, name) for name in ("s3", "s5")}
    whose = [[name for name, body in expected.items() if _holds(body, image)] for image in seen]
    assert all(len(names) == 1 for names in whose)
    assert {names[0] for names in whose} == unlabelled


def _body(data: Any, name: str) -> np.ndarray:
    """[Z, Y, X, modalities], normalised."""
    image = np.stack([data.array(name, m) for m in ("t1", "t2")], axis=-1)
    statistics = stored_statistics(foreground_statistics(image), PLAIN.scheme)
    body = image[:, 0:12, 1:9].transpose(2, 1, 0, 3).astype(np.float32)
    return np.asarray(normalise(body, statistics, PLAIN.scheme))


def _holds(volume: np.ndarray, image: np.ndarray) -> bool:
    """Whether an image is a volume or one of its slices."""
    parts = [volume] if image.ndim == volume.ndim else list(volume)
    return any(np.allclose(part, image, atol=1e-5) for part in parts)
