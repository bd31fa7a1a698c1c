"""Batches of label maps that nobody annotated everywhere."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.tfrecords.reading.recipes import PLAIN, VARIED, Batches, Records
from tfrecords.reading.recipe import Recipe
from tfrecords.reading.record_set import (
    RecordSet,
    open_record_set,
)
from tfrecords.records.manifest import Manifest


@pytest.fixture(scope="module")
def ignoring(
    small_records: Records,
    tmp_path_factory: pytest.TempPathFactory,
    preprocess_here: Callable[..., Manifest],
) -> RecordSet:
    """The small record set whose label 2 nobody annotated."""
    folder = tmp_path_factory.mktemp("ignoring")
    preprocess_here(replace(small_records[0].find(), ignored=(2,)), folder, folds=3)
    return open_record_set(folder)


@pytest.mark.parametrize("recipe", [PLAIN, VARIED], ids=["plain", "varied"])
def test_batches_say_what_is_annotated(
    batches: Batches, records: RecordSet, ignoring: RecordSet, recipe: Recipe
) -> None:
    """What a crop adds around a slice is background, and annotated."""
    wide = replace(recipe, size=(20, 20))
    for batch, other in zip(batches(ignoring, wide), batches(records, wide), strict=True):
        np.testing.assert_array_equal(batch["image"], other["image"])
        assert batch["annotated"].dtype == np.uint8
        np.testing.assert_array_equal(batch["annotated"], other["label"] != 2)
        np.testing.assert_array_equal(batch["label"], other["label"] == 1)
        assert not batch["annotated"].all()


def test_no_region_holds_what_nobody_annotated(
    batches: Batches, records: RecordSet, ignoring: RecordSet
) -> None:
    recipe = replace(PLAIN, regions=((0,), (1,)))
    (found,), (plain,) = batches(ignoring, recipe, steps=1), batches(records, PLAIN, steps=1)
    expected = [plain["label"] == 0, plain["label"] == 1]
    # Zeros in no class' place: a loss must look at what is annotated.
    expected[0] |= plain["label"] == 2
    np.testing.assert_array_equal(found["label"], np.stack(expected, axis=-1))
    np.testing.assert_array_equal(found["annotated"], plain["label"] != 2)
