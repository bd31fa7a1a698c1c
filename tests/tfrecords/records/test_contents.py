"""What each example is, in a few digits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfrecords.records.contents import Contents, contents_of, held
from tfrecords.records.manifest import Shard, load_manifest


def shard_of(contents: Contents, subjects: int) -> Shard:
    names = tuple(f"s{number}" for number in range(subjects))
    owners, holds = contents.packed(subjects)
    examples = len(contents.owners)
    return Shard("a", "slices", "0", "all", names, "", examples, owners=owners, holds=holds)


def test_digits_are_as_documented() -> None:
    """A byte for each owner; for each class a bit of each example, the first the highest."""
    holds = np.zeros((9, 2), bool)
    holds[0, 0] = holds[8, 0] = holds[3, 1] = True
    contents = Contents(np.array([1, 0, 0, 0, 0, 0, 0, 0, 2]), holds)
    assert contents.packed(3) == ("010000000000000002", ("8080", "1000"))
    assert contents.packed(257)[0] == "0001" + "0000" * 7 + "0002"


@pytest.mark.parametrize("subjects", [1, 2, 256, 257, 70_000])
@pytest.mark.parametrize("examples", [0, 1, 8, 21])
def test_what_is_packed_is_unpacked(subjects: int, examples: int) -> None:
    random = np.random.default_rng(0)
    owners = random.integers(subjects, size=examples)
    owners[:1] = subjects - 1
    contents = Contents(owners, random.random((examples, 5)) < 0.4)
    found = contents_of(shard_of(contents, subjects))
    np.testing.assert_array_equal(found.owners, contents.owners)
    np.testing.assert_array_equal(found.holds, contents.holds)


def test_what_nobody_annotated_is_of_no_class() -> None:
    label = np.array([[0, 255], [2, 2]], np.uint8)
    assert held(label, 4).tolist() == [True, False, True, False]
    assert held(label[:, 1:], 3).tolist() == [False, False, True]


def test_preprocessing_says_what_the_sources_hold(small_records: tuple[Any, Path]) -> None:
    """Class 1 is in the slices from 2 to 7, and every slice has marks of 2."""
    manifest = load_manifest(small_records[1])
    for shard in manifest.select("slices", manifest.folds):
        contents = contents_of(shard)
        assert np.bincount(contents.owners).tolist() == [8] * len(shard.subjects)
        for number in range(len(shard.subjects)):
            own = contents.holds[contents.owners == number]
            assert own.sum(axis=0).tolist() == [8, 6, 8]
    for shard in manifest.select("volumes", manifest.folds):
        assert contents_of(shard).holds.all()
        with pytest.raises(ValueError, match="owners: expected numbers below 0 of"):
            contents_of(replace(shard, subjects=()))
