from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tfrecords.geometry.grid import make_grid
from tfrecords.records.views import VIEWS, Patches, Slices, Volumes
from tfrecords.sources.subject import UNLABELLED, LabelClass, Subject
from tfrecords.writing.parts import (
    PART_BYTES,
    PATTERN,
    SHARD_BYTES,
    ShardSettings,
    Source,
    plan,
)

CLASSES = (LabelClass("background", (0,)), LabelClass("a", (1,)), LabelClass("b", (2,)))
SETTINGS = ShardSettings(Slices(), 0, "int16", 2, CLASSES)
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


def fingerprints(found: list[Source], settings: ShardSettings = SETTINGS) -> list[str]:
    parts = plan(Path("out"), found, folds_of(found), settings)
    return [shard.fingerprint for part in parts for shard in part.shards]


def test_every_subject_is_in_one_part_of_its_fold() -> None:
    found = sources(41)
    parts = plan(Path("out"), found, folds_of(found), SETTINGS)
    names = [source.subject.name for part in parts for source in part.sources]
    assert sorted(names) == sorted(source.subject.name for source in found)
    for part in parts:
        *training, last = [shard.kind for shard in part.shards]
        assert set(training) == {"slices"}
        assert last == "volumes"
        assert part.missing == part.shards
        for shard in part.shards:
            assert shard.subjects == tuple(source.subject.name for source in part.sources)
            assert {folds_of(found)[name] for name in shard.subjects} == {shard.fold}
    files = [shard.file for part in parts for shard in part.shards]
    assert len(set(files)) == len(files)
    assert all(Path(file).match(PATTERN) for file in files)


@pytest.mark.parametrize(("files", "channels"), [(2, 2), (1, 4), (4, 4)])
def test_parts_hold_about_what_a_worker_may_hold(files: int, channels: int) -> None:
    """Whether the modalities lie in one file or in several."""
    found = sources(60, channels=files)
    settings = replace(SETTINGS, channels=channels)
    subject_bytes = GRID.shape[0] ** 3 * (2 * channels + 1)
    for part in plan(Path("out"), found, folds_of(found), settings):
        assert len(part.sources) * subject_bytes <= PART_BYTES
        assert (len(part.sources) + 2) * subject_bytes > PART_BYTES / 2


def test_more_patches_make_more_shards_and_not_more_parts() -> None:
    """Moeskops' numbers: 3 x 50,000 patches of 87 x 87 with 21 x 21 labels, in 64 MiB each."""
    found = sources(10)
    view = Patches(87, 21, 50_000)
    few = replace(SETTINGS, view=replace(view, per_class=1))
    plans = [
        plan(Path("out"), found, dict.fromkeys(folds_of(found), "0"), settings)
        for settings in (few, replace(SETTINGS, view=view))
    ]
    # Volumes of 5 MB: all ten subjects make one part.
    (few_part,), (many_part,) = plans
    assert len(few_part.shards) == 2
    patch_bytes = 87 * 87 * 2 * 2 + 21 * 21
    arrays = 10 * 3 * 50_000 * patch_bytes
    planned = [shard.bytes for shard in many_part.shards if shard.kind == "patches"]
    assert arrays < sum(planned) < 1.02 * arrays
    assert max(planned) < SHARD_BYTES + 1.02 * patch_bytes
    assert min(planned) > 0.98 * SHARD_BYTES


def test_shards_are_numbered_through_fold_and_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfrecords.writing.parts.PART_BYTES", 5 * 5 * GRID.shape[0] ** 3)
    monkeypatch.setattr("tfrecords.writing.parts.SHARD_BYTES", 2 * 5 * GRID.shape[0] ** 3)
    found = sources(41)
    parts = plan(Path("out"), found, folds_of(found), SETTINGS)
    files: dict[tuple[str, str], list[str]] = defaultdict(list)
    for part in parts:
        for shard in part.shards:
            files[shard.kind, shard.fold].append(shard.file)
    assert set(files) == {(kind, fold) for kind in ("slices", "volumes") for fold in "01"}
    for (kind, fold), names in files.items():
        assert len(names) > 1
        assert names == [
            f"{kind}-fold{fold}-all-{number:05d}-of-{len(names):05d}.tfrecord"
            for number in range(len(names))
        ]
    assert {key: len(names) for key, names in files.items()} == {
        # 21 and 20 subjects, at most five a part and two a shard, in parts as even as can be.
        ("volumes", "0"): 5,
        ("volumes", "1"): 5,
        ("slices", "0"): 15,
        ("slices", "1"): 15,
    }


def test_volumes_alone_are_one_shard_of_each_part() -> None:
    found = sources(4)
    settings = replace(SETTINGS, view=Volumes())
    for part in plan(Path("out"), found, folds_of(found), settings):
        (shard,) = part.shards
        assert shard.kind == "volumes"


def test_jobs_share_what_is_missing() -> None:
    view = Patches(87, 21, 50_000)
    found = sources(1)
    settings = replace(SETTINGS, view=view)
    (part,) = plan(Path("out"), found, folds_of(found), settings)
    written = {shard.file for shard in part.shards[10:20]}
    jobs = part.jobs(written)
    missing = [shard for job in jobs for shard in job.missing]
    assert missing == [*part.shards[:10], *part.shards[20:]]
    assert [len(job.missing) for job in jobs] == [32, len(missing) - 32]
    assert all(job.shards == part.shards for job in jobs)
    assert part.jobs({shard.file for shard in part.shards}) == []


def test_plan_does_not_depend_on_the_order_or_the_place_of_sources() -> None:
    found = sources(12)
    assert fingerprints(found) == fingerprints(found[::-1])
    assert fingerprints(found) == fingerprints(sources(12, Path("moved")))


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, seed=1),
        replace(SETTINGS, view=Patches()),
        replace(SETTINGS, view=Slices(foreground=True)),
        replace(SETTINGS, image_dtype="float16"),
        replace(SETTINGS, classes=CLASSES[:2]),
    ],
)
def test_what_changes_the_bytes_changes_the_fingerprint(settings: ShardSettings) -> None:
    found = sources(4)
    assert not set(fingerprints(found, settings)) & set(fingerprints(found))


def test_another_division_into_shards_changes_the_fingerprints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For the same names may then hold other examples."""
    found = sources(2)
    settings = replace(SETTINGS, view=Patches(87, 21, 10_000))
    before = fingerprints(found, settings)
    assert len(set(before)) == len(before)
    monkeypatch.setattr("tfrecords.writing.parts.SHARD_BYTES", 2 * SHARD_BYTES)
    after = set(fingerprints(found, settings))
    # One of volumes in each of two folds.
    assert len(after & set(before)) == 2


def test_changed_files_and_grids_change_the_fingerprint_of_their_part_alone() -> None:
    found = sources(4)
    grid = make_grid((100, 100, 100), np.diag([1, 1, 2, 1]))
    checksums = {**found[0].checksums, str(found[0].subject.label): "edited"}
    channels = replace(found[0].subject, channels=(1, 0))
    for changed in (
        replace(found[0], working=grid),
        replace(found[0], checksums=checksums),
        replace(found[0], subject=channels),
    ):
        before, after = fingerprints(found), fingerprints([changed, *found[1:]])
        assert len(set(before)) == 4
        assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True, True]


@pytest.mark.parametrize("kind", ["slices", "patches", "volumes"])
def test_unlabelled_subjects_are_volumes_alone(kind: str) -> None:
    labelled, *others = sources(3)
    others = [replace(source, subject=replace(source.subject, label=None)) for source in others]
    folds = {"s0": "0", "s1": UNLABELLED, "s2": UNLABELLED}
    settings = replace(SETTINGS, view=VIEWS[kind]())
    first, second = plan(Path("out"), [labelled, *others], folds, settings)
    assert (first,) == tuple(plan(Path("out"), [labelled], folds, settings))
    (shard,) = second.shards
    assert (shard.kind, shard.fold, shard.subjects) == ("volumes", UNLABELLED, ("s1", "s2"))
    assert shard.file == "volumes-foldunlabelled-all-00000-of-00001.tfrecord"
    assert Path(shard.file).match(PATTERN)
