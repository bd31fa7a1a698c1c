import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfrecords import example, scan, shards
from tfrecords.shards import Part, Settings, Source
from tfrecords.statistics import foreground_statistics
from tfrecords.subject import LabelClass, Subject
from tfrecords.views import View
from tfrecords.volumes import make_grid

CLASSES = (LabelClass("background", (0,)), LabelClass("a", (1,)), LabelClass("b", (2,)))
SETTINGS = Settings(View("slices"), 0, "int16", 2, CLASSES)
GRID = make_grid((100, 100, 100), np.eye(4))


def sources(count: int, folder: Path = Path("data"), channels: int = 2) -> list[Source]:
    """Subjects that only exist on paper."""
    found = []
    for number in range(count):
        files = tuple(folder / f"s{number}_{c}.nii" for c in range(channels))
        subject = Subject(f"s{number}", files, folder / f"s{number}_label.nii")
        checksums = {str(path): f"{path.name} {number}" for path in subject.files}
        found.append(Source(subject, GRID, GRID, checksums))
    return found


def folds_of(found: list[Source]) -> dict[str, str]:
    return {source.subject.name: str(int(source.subject.name[1:]) % 2) for source in found}


def fingerprints(found: list[Source], settings: Settings = SETTINGS) -> list[str]:
    parts = shards.plan(Path("out"), found, folds_of(found), settings)
    return [shard.fingerprint for part in parts for shard in part.shards]


def test_every_subject_is_in_one_part_of_its_fold() -> None:
    found = sources(41)
    parts = shards.plan(Path("out"), found, folds_of(found), SETTINGS)
    names = [source.subject.name for part in parts for source in part.sources]
    assert sorted(names) == sorted(source.subject.name for source in found)
    for part in parts:
        assert [shard.kind for shard in part.shards] == ["slices", "volumes"]
        for shard in part.shards:
            assert shard.subjects == tuple(source.subject.name for source in part.sources)
            assert {folds_of(found)[name] for name in shard.subjects} == {shard.fold}
    files = [shard.file for part in parts for shard in part.shards]
    assert len(set(files)) == len(files)
    assert all(Path(file).match(shards.PATTERN) for file in files)


@pytest.mark.parametrize(("files", "channels"), [(2, 2), (1, 4), (4, 4)])
def test_parts_hold_about_what_a_worker_may_hold(files: int, channels: int) -> None:
    """Whether the modalities lie in one file or in several."""
    found = sources(60, channels=files)
    settings = replace(SETTINGS, channels=channels)
    subject_bytes = GRID.shape[0] ** 3 * (2 * channels + 1)
    for part in shards.plan(Path("out"), found, folds_of(found), settings):
        assert len(part.sources) * subject_bytes <= shards.PART_BYTES
        assert (len(part.sources) + 2) * subject_bytes > shards.PART_BYTES / 2


def test_plan_does_not_depend_on_the_order_or_the_place_of_sources() -> None:
    found = sources(12)
    assert fingerprints(found) == fingerprints(found[::-1])
    assert fingerprints(found) == fingerprints(sources(12, Path("moved")))


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, seed=1),
        replace(SETTINGS, view=View("patches")),
        replace(SETTINGS, image_dtype="float16"),
        replace(SETTINGS, classes=CLASSES[:2]),
    ],
)
def test_what_changes_the_bytes_changes_the_fingerprint(settings: Settings) -> None:
    found = sources(4)
    assert not set(fingerprints(found, settings)) & set(fingerprints(found))


def test_changed_files_and_grids_change_the_fingerprint_of_their_part_alone() -> None:
    found = sources(4)
    grid = make_grid((100, 100, 100), np.diag([1, 1, 2, 1]))
    checksums = {**found[0].checksums, str(found[0].subject.label): "edited"}
    for changed in (replace(found[0], working=grid), replace(found[0], checksums=checksums)):
        before, after = fingerprints(found), fingerprints([changed, *found[1:]])
        assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True, True]


@pytest.fixture
def part(small_dataset: Any, tmp_path: Path) -> tuple[Any, Part]:
    """Three real subjects of one fold."""
    data = small_dataset(tmp_path / "data", 3)
    found = []
    for subject in data.find().subjects:
        _, grid = scan.load_image(subject, 2)
        checksums = {str(path): "" for path in subject.files}
        found.append(Source(replace(subject, group="all"), grid, grid, checksums))
    (tmp_path / "out" / shards.PROGRESS).mkdir(parents=True)
    (planned,) = shards.plan(
        tmp_path / "out", found, dict.fromkeys(("s0", "s1", "s2"), "0"), SETTINGS
    )
    return data, planned


def test_written_part_holds_the_subjects(part: tuple[Any, Part]) -> None:
    data, planned = part
    slices, volumes = shards.write_part(planned)
    assert (slices.examples, volumes.examples) == (24, 3)
    seen = set()
    for record in tf.data.TFRecordDataset(str(planned.folder / slices.file)):
        parsed = example.parse(record, "int16", 2, 2)
        name, z = parsed.subject.numpy().decode(), int(parsed.position[0])
        seen.add((name, z))
        image = np.stack([data.array(name, m) for m in ("t1", "t2")], axis=-1)
        np.testing.assert_array_equal(parsed.image, image[:, :, z].transpose(1, 0, 2))
        np.testing.assert_array_equal(parsed.label, data.array(name, "label")[:, :, z].T)
        np.testing.assert_array_equal(parsed.statistics, foreground_statistics(image))
        assert data.owner(parsed.label.numpy()) == (name, z)
    assert seen == {(name, z) for name in ("s0", "s1", "s2") for z in range(1, 9)}


def test_every_subject_has_random_patches_of_its_own(part: tuple[Any, Part]) -> None:
    """Though all have class 1 in the same place."""
    _, planned = part
    view = View("patches", patch_size=3, patches_per_class=20)
    patches = replace(planned.shards[0], kind="patches")
    settings = replace(planned.settings, view=view)
    (written,) = shards.write_part(replace(planned, shards=(patches,), settings=settings))
    centres: dict[bytes, set[tuple[int, ...]]] = {}
    for record in tf.data.TFRecordDataset(str(planned.folder / written.file)):
        parsed = example.parse(record, "int16", 2, 2)
        if parsed.label[1, 1] == 1:
            positions = centres.setdefault(parsed.subject.numpy(), set())
            positions.add(tuple(parsed.position.numpy().tolist()))
    assert len(centres) == 3
    assert len(set.intersection(*centres.values())) < 10


def test_written_shards_are_noted_and_checked(part: tuple[Any, Part]) -> None:
    _, planned = part
    assert shards.finished(planned) is None
    written = shards.write_part(planned)
    assert shards.finished(planned) == written
    for shard in written:
        path = planned.folder / shard.file
        assert path.stat().st_size == shard.bytes
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert shards.finished(planned) is None
        path.write_bytes(content)
    others = tuple(replace(shard, fingerprint="other") for shard in planned.shards)
    assert shards.finished(replace(planned, shards=others)) is None


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
    assert shards.finished(planned) is None
