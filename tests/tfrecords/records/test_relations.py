"""Contradictions in a manifest, each in a sentence that names its entry."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfrecords.geometry.grid import make_grid
from tfrecords.records.manifest import Manifest, load_manifest
from tfrecords.records.relations import faults
from tfrecords.records.views import Patches
from tfrecords.sources.subject import LabelClass

Change = Callable[[Manifest], Manifest]


@pytest.fixture
def loaded(small_records: tuple[Any, Path]) -> Manifest:
    return load_manifest(small_records[1])


def of(**changes: object) -> Change:
    return lambda manifest: replace(manifest, **changes)  # type: ignore[arg-type]


def of_shard(**changes: object) -> Change:
    """Of the first shard, which is of slices."""
    return lambda manifest: replace(
        manifest,
        shards=(replace(manifest.shards[0], **changes), *manifest.shards[1:]),  # type: ignore[arg-type]
    )


def of_volumes(**changes: object) -> Change:
    """Of the second shard, which is of two volumes."""
    return (
        lambda manifest: replace(
            manifest,
            shards=(
                manifest.shards[0],
                replace(manifest.shards[1], **changes),  # type: ignore[arg-type]
                *manifest.shards[2:],
            ),
        )
    )


def of_subject(**changes: object) -> Change:
    return lambda manifest: replace(
        manifest,
        subjects=(replace(manifest.subjects[0], **changes), *manifest.subjects[1:]),  # type: ignore[arg-type]
    )


def classes(*found: tuple[str, tuple[int, ...]]) -> Change:
    return of(classes=tuple(LabelClass(name, labels) for name, labels in found))


def test_what_preprocessing_writes_has_none(loaded: Manifest) -> None:
    assert list(faults(loaded)) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (of(modalities=()), "modalities: expected at least one"),
        (of(groups=("high", "low", "high")), "groups: expected each once, received ['high']"),
        (of(groups=("high",)), "expected a group of ('high',), received low"),
        (classes(("a", (0,)), ("b", (1,)), ("c", (256,))), "expected labels from 0 to 255"),
        (classes(("a", (0,)), ("b", (-1,)), ("c", (2,))), "expected labels from 0 to 255"),
        (classes(("a", (0,)), ("b", (0, 1)), ("c", (2,))), "classes: label: expected each once"),
        (classes(("a", (0,)), ("b", ()), ("c", (2,))), "expected at least one label of b"),
        (classes(("a", (0,)), ("a", (1,)), ("c", (2,))), "classes: expected each once"),
        (of(regions={"x": ("label_1", "label_9")}), "regions.x: expected some of"),
        (of(regions={"x": ()}), "regions.x: expected some of"),
        (of(class_voxels=(1, 2)), "class_voxels: expected 3 numbers"),
        (of(class_voxels=(1, 2, -3)), "class_voxels: expected 3 numbers"),
        (of(image_dtype="complex64"), "image_dtype: expected one of"),
        (of(seed=-1), "seed: expected at least 0"),
        (of(orientation="RLA"), "orientation: expected axis codes"),
        (of(spacing_mm=(1.0, np.nan, 1.0)), "spacing_mm: expected positive numbers"),
        (of(spacing_mm=(1.0, 1.0, 1.0)), "spacing_mm: expected [1. 1. 2.], of the subjects"),
        (of(wanted_spacing_mm=(0.0, 0.0, 0.0)), "wanted_spacing_mm: expected numbers"),
        (of(crop=(9, 0, 9)), "crop: expected positive numbers"),
        (of(largest_shape=(0, 0, 0)), "largest_shape: expected (10, 14, 12), of the subjects"),
        (of(subjects=()), "subjects: expected at least one"),
        (of_subject(name="s1"), "subjects: expected each once, received ['s1']"),
        (of_subject(name="../s0"), "expected a name of 1 to 100 bytes"),
        (of_subject(fold=""), "expected a fold, received none"),
        (of_subject(fold="7"), "expected s0 of fold"),
        (of_subject(working=make_grid((0, 1, 1), np.eye(4))), "working: expected a grid"),
        (of_subject(source=make_grid((9, 9, 9), np.ones((4, 4)))), "source: expected a grid"),
        (of_subject(source=make_grid((9, 9, 9), np.eye(3))), "source: expected a grid"),
        (of_shard(file="../x.tfrecord"), "(../x.tfrecord): expected the name of a file"),
        (of_shard(kind="patches"), "kind: expected one of ['slices', 'volumes']"),
        (of_shard(kind="volumes"), "shards: expected one of volumes with"),
        (of_shard(fold="unlabelled"), "kind: expected one of ['volumes']"),
        (of_shard(fold="7"), "of fold 7 and group"),
        (of_shard(group="odd"), "and group odd"),
        (of_shard(subjects=()), "subjects: expected at least one"),
        (of_shard(subjects=("s9",)), "received no such subject"),
        (of_shard(examples=-1), "examples, bytes: received -1"),
        (of_shard(examples=10**9), "examples, bytes: received 1000000000 in"),
        (of_shard(bytes=-1), "in -1 bytes"),
        (of_shard(sha256=""), "sha256: expected 64 hexadecimal digits"),
        (of_shard(centres=((1, 2, 3),)), "centres: expected 0 times 3 numbers"),
        (of_shard(owners="00"), "owners: expected numbers below 2 of 16 examples, received '00'"),
        (of_shard(owners="02" * 16), "owners: expected numbers below 2 of 16 examples"),
        (of_shard(owners="x" * 32), "owners, holds: expected digits, received"),
        (of_shard(holds=("ffff", "ffff")), "holds: expected 3, one per class, received"),
        (of_shard(holds=("ffff", "ffff", "ff")), "holds: expected bits of 16 examples"),
        (of_shard(holds=("ffff", "ffff", "é")), "owners, holds: expected digits, received"),
        (of_volumes(owners="0100"), "owners: expected the volume of each subject, in their order"),
        (of_volumes(holds=("c1", "c0", "c0")), "holds: expected bits of 2 examples"),
        (of(favoured=("label_2", "label_7")), "favoured: expected some of ['background', 'high',"),
        (of(view=Patches(9, 3, 2)), "kind: expected one of ['patches', 'volumes']"),
        (lambda m: replace(m, shards=m.shards[1:] * 2), "shards: expected each once"),
        (lambda m: replace(m, shards=m.shards[:1]), "of volumes with s0, received 0"),
    ],
)
def test_a_contradiction_is_named(loaded: Manifest, change: Change, fault: str) -> None:
    found = list(faults(change(loaded)))
    assert any(fault in sentence for sentence in found), found


def test_centres_are_those_of_the_examples(
    small_dataset: Callable[..., Any], preprocess_here: Callable[..., Manifest], tmp_path: Path
) -> None:
    data = small_dataset(tmp_path / "data", 4)
    made = preprocess_here(data.find(), tmp_path / "records", view=Patches(9, 3, 2))
    assert list(faults(made)) == []
    centres = made.shards[0].centres
    more = tuple(tuple(count + 1 for count in row) for row in centres)
    for wrong in ((), (*centres, *centres), more, tuple(row[:-1] for row in centres)):
        assert any("centres: expected" in fault for fault in faults(of_shard(centres=wrong)(made)))
    owners = made.shards[0].owners
    assert set(owners) == {"0", "1"}
    wrong_owners = "01" * (len(owners) // 2)
    (fault,) = faults(of_shard(owners=wrong_owners)(made))
    assert "owners: expected as many patches of each as in centres, received" in fault
