"""Which examples are drawn, before any is read."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nibabel as nib
import pytest

from tfrecords.reading import streams as reading
from tfrecords.reading.favoured import Favoured
from tfrecords.reading.record_set import RecordSet, open_record_set
from tfrecords.reading.streams import streams, tell_of_favoured
from tfrecords.records.manifest import Manifest, Shard

LESION = Favoured(0.7, ("label_3",), classes=frozenset({3}))


@pytest.fixture(scope="module")
def lesions(
    small_dataset: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
    preprocess_here: Callable[..., Manifest],
) -> RecordSet:
    """Six subjects with eight slices each; label 3 is in two slices of s0 and in one of s1."""
    folder = tmp_path_factory.mktemp("lesions")
    data = small_dataset(folder / "data")
    for name, depth in (("s0", slice(3, 5)), ("s1", slice(6, 7))):
        path = data.path(name, "label")
        image = nib.Nifti1Image.from_filename(path)
        label = data.array(name, "label").copy()
        label[4, 5, depth] = 3
        nib.Nifti1Image(label, image.affine).to_filename(path)
    preprocess_here(data.find(), folder / "records")
    return open_record_set(folder / "records")


def slices(records: RecordSet) -> tuple[Shard, ...]:
    return records.manifest.select("slices", records.manifest.folds)


@pytest.mark.parametrize(
    ("subjects", "favoured", "expected"),
    [
        (None, None, [(48, 1.0)]),
        ({"s0", "s2"}, None, [(16, 1.0)]),
        (None, LESION, [(3, 0.7), (45, 0.3)]),
        ({"s1", "s4", "s5"}, LESION, [(1, 0.7), (23, 0.3)]),
        # A class that none of the chosen ones has, and one that all their slices hold.
        ({"s2", "s4"}, LESION, [(16, 1.0)]),
        (None, replace(LESION, classes=frozenset({0})), [(48, 1.0)]),
        # Groups and classes together; a group that is in no fold.
        (None, replace(LESION, groups=frozenset({"low"})), [(19, 0.7), (29, 0.3)]),
        (None, Favoured(0.7, ("odd",), groups=frozenset({"odd"})), [(48, 1.0)]),
        ({"nobody"}, LESION, []),
    ],
)
def test_streams_hold_what_is_wanted(
    lesions: RecordSet,
    subjects: set[str] | None,
    favoured: Favoured | None,
    expected: list[tuple[int, float]],
) -> None:
    found = streams(slices(lesions), subjects, favoured)
    assert [(stream.examples, pytest.approx(stream.share)) for stream in found] == expected
    for stream in found:
        assert all(chosen.any() for chosen in stream.chosen)


def test_a_share_of_nothing_is_told(lesions: RecordSet, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="absl"):
        tell_of_favoured(slices(lesions), {"s1", "s5"}, LESION)
        assert "favoured: 1 of 16 examples are of label_3" in caplog.text
        tell_of_favoured(slices(lesions), {"s2"}, LESION)
    assert "favoured: no training example is of label_3: all are drawn alike" in caplog.text


def test_the_shuffle_buffer_holds_what_is_chosen(
    lesions: RecordSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = streams(slices(lesions), None, LESION)
    assert (inside.shuffle_buffer, outside.shuffle_buffer) == (3, 45)
    example_bytes = outside.shards[0].bytes / outside.shards[0].examples
    monkeypatch.setattr(reading, "SHUFFLE_BYTES", 10.5 * example_bytes)
    assert (inside.shuffle_buffer, outside.shuffle_buffer) == (3, 10)
