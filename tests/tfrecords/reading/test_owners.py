"""Exchanged shards while training reads them."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfrecords.errors import UserError
from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.owners import Owners
from tfrecords.reading.recipe import Recipe
from tfrecords.reading.record_set import RecordSet, damage_named, open_record_set
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Slices, Volumes

Batches = Callable[..., list[dict[str, np.ndarray]]]
SLICES = Recipe(Slices(), (14, 12), 4, "z_score", Augmentation())
VOLUMES = replace(SLICES, view=Volumes(), size=(4, 4, 4))


def exchanged(copy: Path, kind: str) -> tuple[RecordSet, list[str]]:
    """A shard of fold 1 and one of the test fold 2, of equal size, change places; their files."""
    manifest = open_record_set(copy).manifest
    mine, theirs = (
        next(s for s in manifest.select(kind, [fold]) if s.group == "high") for fold in "12"
    )
    assert mine.bytes == theirs.bytes
    files = [mine.file, theirs.file]
    os.replace(copy / files[0], copy / "x")
    os.replace(copy / files[1], copy / files[0])
    os.replace(copy / "x", copy / files[1])
    return open_record_set(copy), files


@pytest.mark.parametrize("recipe", [SLICES, VOLUMES], ids=lambda recipe: str(recipe.view))
@pytest.mark.parametrize("some", [False, True])
def test_a_test_subject_does_not_get_into_training(
    copy: Path, batches: Batches, recipe: Recipe, some: bool
) -> None:
    """Nor where only some of the subjects are drawn, and the stranger would not be."""
    records, files = exchanged(copy, recipe.view.kind)
    subjects = None
    if some:
        high = [s for s in records.manifest.subjects if s.group == "high"]
        wanted = next(s for s in high if s.fold == "0"), next(s for s in high if s.fold == "1")
        subjects = frozenset(subject.name for subject in wanted)
    with pytest.raises(UserError) as error, damage_named(records):
        batches(records, recipe, folds=("0", "1"), steps=8, subjects=subjects)
    message = str(error.value)
    for file in files:
        assert f"{copy / file}: checksum differs from the manifest's" in message
    assert "Run launch/preprocess.py again" in message


def test_nor_where_the_manifest_vouches_for_the_exchange(copy: Path, batches: Batches) -> None:
    records, files = exchanged(copy, "slices")
    by_file = {shard.file: shard for shard in records.manifest.shards}
    other = {files[0]: by_file[files[1]], files[1]: by_file[files[0]]}
    shards = tuple(
        replace(s, sha256=other[s.file].sha256) if s.file in files else s
        for s in records.manifest.shards
    )
    forged = RecordSet(copy, replace(records.manifest, shards=shards))
    message = rf"{files[0]}: example 0: expected one of s\d, received one of s\d"
    with pytest.raises(UserError, match=message), damage_named(forged):
        batches(forged, SLICES, folds=("1",), steps=8)


def test_a_foreign_unlabelled_subject_is_refused(
    small_dataset: Callable[..., Any],
    preprocess_here: Callable[..., Manifest],
    tmp_path: Path,
    batches: Batches,
) -> None:
    data = small_dataset(tmp_path / "data", 5)
    data.unlabel("s1", "s4")
    manifest = preprocess_here(data.find(unlabelled=True), tmp_path / "records", view=Volumes())
    recipe = replace(VOLUMES, unlabelled=True, minibatch=2)
    records = RecordSet(tmp_path / "records", manifest)
    assert batches(records, recipe, folds=("0", "1"))
    renamed = [
        replace(s, subjects=("s9",) * len(s.subjects)) if s.fold == "unlabelled" else s
        for s in manifest.shards
    ]
    other = RecordSet(records.folder, replace(manifest, shards=tuple(renamed)))
    with (
        pytest.raises(UserError, match="expected one of s9, received one of s1"),
        damage_named(other),
    ):
        batches(other, recipe, folds=("0", "1"))


def test_an_example_is_of_the_subject_at_its_place(records: RecordSet) -> None:
    first, second = records.manifest.select("volumes", "01")[:2]
    owners = Owners([second, first])
    assert len(first.subjects) > 1
    for shard in (first, second):
        numbers = owners.numbers(shard)
        assert len(numbers) == shard.examples
        for name, number in zip(shard.subjects, numbers, strict=True):
            checked = owners.checked(tf.constant(name), tf.constant(number))
            assert checked.numpy().decode() == name
    numbers = owners.numbers(first)
    for stranger in (first.subjects[1], second.subjects[0], "s"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="does not list for its place"):
            owners.checked(tf.constant(stranger), tf.constant(numbers[0]))
