import gzip
import os
import tracemalloc
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfrecords.errors import UserError
from tfrecords.files import file_checksum
from tfrecords.reading.parsing import parse
from tfrecords.records.intensities import foreground_statistics
from tfrecords.records.manifest import Shard
from tfrecords.records.views import Patches, Slices, View, Volumes
from tfrecords.sources.images import load_image
from tfrecords.sources.subject import LabelClass
from tfrecords.writing import shards
from tfrecords.writing.parts import Part, ShardSettings, Source, plan

CLASSES = (LabelClass("background", (0,)), LabelClass("a", (1,)), LabelClass("b", (2,)))
SETTINGS = ShardSettings(Slices(), 0, "int16", 2, CLASSES)
PATCHES = Patches(9, 3, 50)


@pytest.fixture
def part(small_dataset: Any, tmp_path: Path) -> tuple[Any, Part]:
    """Three real subjects of one fold."""
    data = small_dataset(tmp_path / "data", 3)
    return data, planned_part(data, tmp_path / "out", SETTINGS)


def planned_part(data: Any, folder: Path, settings: ShardSettings) -> Part:
    found = []
    for subject in data.find().subjects:
        _, grid = load_image(subject, 2)
        checksums = {str(path): "" for path in subject.files}
        found.append(Source(replace(subject, group="all"), grid, grid, checksums))
    (folder / shards.PROGRESS).mkdir(parents=True)
    names = [source.subject.name for source in found]
    (planned,) = plan(folder, found, dict.fromkeys(names, "0"), settings)
    return planned


def patches_of(part: Part, shard: Shard) -> list[tuple[str, tuple[int, ...], np.ndarray]]:
    """Subject, place and label of every example of a shard."""
    found = []
    for record in tf.data.TFRecordDataset(str(part.folder / shard.file)):
        parsed = parse(record, "int16", 2, 2)
        place = tuple(parsed.position.numpy().tolist())
        found.append((parsed.subject.numpy().decode(), place, parsed.label.numpy()))
    return found


def test_written_part_holds_the_subjects(part: tuple[Any, Part]) -> None:
    data, planned = part
    slices, volumes = shards.write_part(planned)
    assert (slices.examples, volumes.examples) == (24, 3)
    seen = set()
    for record in tf.data.TFRecordDataset(str(planned.folder / slices.file)):
        parsed = parse(record, "int16", 2, 2)
        name, z = parsed.subject.numpy().decode(), int(parsed.position[0])
        seen.add((name, z))
        image = np.stack([data.array(name, m) for m in ("t1", "t2")], axis=-1)
        np.testing.assert_array_equal(parsed.image, image[:, :, z].transpose(1, 0, 2))
        np.testing.assert_array_equal(parsed.label, data.array(name, "label")[:, :, z].T)
        np.testing.assert_array_equal(parsed.statistics, foreground_statistics(image))
        assert data.owner(parsed.label.numpy()) == (name, z)
    assert seen == {(name, z) for name in ("s0", "s1", "s2") for z in range(1, 9)}


@pytest.fixture
def dealt(part: tuple[Any, Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Part:
    """Patches of the same subjects, dealt over several shards."""
    monkeypatch.setattr("tfrecords.writing.parts.SHARD_BYTES", 60_000)
    return planned_part(part[0], tmp_path / "dealt", replace(SETTINGS, view=PATCHES))


def test_every_subject_has_random_patches_of_its_own(dealt: Part) -> None:
    """Though all have class 1 in the same place."""
    centres: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for shard in shards.write_part(dealt)[:-1]:
        for name, place, label in patches_of(dealt, shard):
            if label[1, 1] == 1:
                centres[name].add(place)
    assert len(centres) == 3
    assert len(set.intersection(*centres.values())) < 20


def test_examples_are_dealt_evenly_and_none_is_lost(
    part: tuple[Any, Part], dealt: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *training, _ = shards.write_part(dealt)
    monkeypatch.setattr("tfrecords.writing.parts.SHARD_BYTES", 2**30)
    whole = planned_part(part[0], tmp_path / "whole", dealt.settings)
    together, _ = shards.write_part(whole)
    found = [[(name, place) for name, place, _ in patches_of(dealt, s)] for s in training]
    expected = [(name, place) for name, place, _ in patches_of(whole, together)]
    assert Counter(p for shard in found for p in shard) == Counter(expected)
    assert len(expected) == together.examples == 3 * 3 * 50
    assert [len(shard) for shard in found] == [shard.examples for shard in training]
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert len(training) > 3
    for shard in found:
        assert {name for name, _ in shard} == {"s0", "s1", "s2"}


def test_examples_are_mixed_by_the_seed(dealt: Part) -> None:
    """A shard's first examples are neither one subject's nor one class's."""
    first = patches_of(dealt, shards.write_part(dealt)[0])[:20]
    assert len({name for name, _, _ in first}) == 3
    assert len({label[1, 1] for _, _, label in first}) == 3


def test_shards_count_the_classes_of_their_patches_centres(dealt: Part) -> None:
    *training, volumes = shards.write_part(dealt)
    assert volumes.centres == ()
    for shard in training:
        found = Counter((name, label[1, 1]) for name, _, label in patches_of(dealt, shard))
        assert shard.centres == tuple(
            tuple(found[name, index] for index in range(3)) for name in shard.subjects
        )
    assert np.sum([shard.centres for shard in training], axis=0).tolist() == [[50] * 3] * 3


@pytest.mark.parametrize("view", [Slices(), Patches(31, 21, 50), Volumes()], ids=str)
def test_planned_bytes_are_what_shards_take_at_most(
    part: tuple[Any, Part], tmp_path: Path, view: View
) -> None:
    planned = planned_part(part[0], tmp_path / "planned", replace(SETTINGS, view=view))
    for before, after in zip(planned.shards, shards.write_part(planned), strict=True):
        assert after.bytes <= before.bytes
        if before.kind == "patches":  # Others are cropped to the body.
            assert after.bytes > 0.98 * before.bytes


def test_memory_does_not_grow_with_the_patches(part: tuple[Any, Part], tmp_path: Path) -> None:
    view = Patches(61, 21, 300)
    planned = planned_part(part[0], tmp_path / "many", replace(SETTINGS, view=view))
    tracemalloc.start()
    try:
        written = shards.write_part(planned)[0]
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert written.bytes > 40_000_000
    assert peak_bytes < 5_000_000


def test_written_shards_are_noted_and_checked(dealt: Part) -> None:
    written = shards.write_part(dealt)
    for shard, before in zip(written, dealt.shards, strict=True):
        assert shards.finished(dealt.folder, before) == shard
        path = dealt.folder / shard.file
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert shards.finished(dealt.folder, before) is None
        path.write_bytes(content)
        other = replace(before, fingerprint="other")
        assert shards.finished(dealt.folder, other) is None
        assert len(content) == shard.bytes


@pytest.mark.parametrize("content", ["", "{}", '{"format_version": 0}', '{"format_version": 4}'])
def test_a_damaged_note_is_told_and_its_shard_written_anew(
    dealt: Part, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    shards.write_part(dealt)
    note = dealt.folder / shards.PROGRESS / f"{dealt.shards[0].file}.json"
    note.write_text(content)
    assert shards.finished(dealt.folder, dealt.shards[0]) is None
    assert f"{note}: " in caplog.text
    assert "The shard is written anew." in caplog.text
    assert shards.finished(dealt.folder, dealt.shards[1]) is not None


def test_only_missing_shards_are_written_and_they_are_the_same(dealt: Part) -> None:
    whole = shards.write_part(dealt)
    contents = [(dealt.folder / shard.file).read_bytes() for shard in whole]
    for shard in whole:
        (dealt.folder / shard.file).unlink()
    chosen = slice(1, None, 2)
    assert shards.write_part(replace(dealt, missing=dealt.shards[chosen])) == whole[chosen]
    assert [(dealt.folder / shard.file).read_bytes() for shard in whole[chosen]] == contents[chosen]
    assert not any((dealt.folder / shard.file).exists() for shard in whole[::2])


def test_what_was_finished_before_an_interruption_is_kept(
    dealt: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = os.replace

    def interrupted(source: Path, target: Path) -> None:
        if target.name == dealt.shards[2].file:
            raise KeyboardInterrupt
        replaced(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shards.write_part(dealt)
    found = [shards.finished(dealt.folder, shard) for shard in dealt.shards]
    assert [shard is not None for shard in found[:3]] == [True, True, False]
    assert not any(found[2:])


def test_an_interrupted_shard_leaves_nothing_under_its_name(
    part: tuple[Any, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, planned = part

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shards.write_part(planned)
    assert list(planned.folder.glob("*.tfrecord")) == []
    assert not any(shards.finished(planned.folder, shard) for shard in planned.shards)


@pytest.mark.parametrize("column", ["t2", "label"])
def test_a_file_that_changed_since_it_was_checked_is_not_written(
    part: tuple[Any, Part], column: str
) -> None:
    data, planned = part
    checksums = {str(path): file_checksum(path) for path in planned.sources[1].subject.files}
    source = replace(planned.sources[1], checksums=checksums)
    shards.load(source, SETTINGS)
    path = data.path(source.subject.name, column)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
    with pytest.raises(UserError, match=f"{path}: the file has changed since it was checked"):
        shards.load(source, SETTINGS)
