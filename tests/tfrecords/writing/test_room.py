"""What cannot fit is refused before it is planned."""

from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfrecords.errors import SettingError
from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Patches
from tfrecords.writing import preprocessing, room

Preprocess = Callable[..., Manifest]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"spacing_mm": (0.001, 0.001, 0.001)},
            r"spacing: expected examples of at most 2147483647 bytes, received \d{13,} of s\d",
        ),
        (
            {"spacing_mm": (1e-12, 1, 1)},
            "spacing: expected fewer than 2147483648 voxels along each axis, received 1.2e.13",
        ),
        ({"spacing_mm": (1e-320, 1, 1)}, "spacing: expected fewer than .* received inf"),
        (
            {"view": Patches(99999, 21, 5)},
            r"patch_size: expected examples of at most 2147483647 bytes, received \d{11} of s\d",
        ),
        (
            {"view": Patches(87, 21, 10**9)},
            r"out_dir: .*expected at most \d+ bytes.* received \d{15}\. .*--patches_per_class",
        ),
    ],
)
def test_impossible_sizes_are_refused_before_they_are_planned(
    small_dataset: Any,
    tmp_path: Path,
    preprocess_here: Preprocess,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    message: str,
) -> None:
    def plan(*_: object) -> None:
        raise AssertionError("planned")

    monkeypatch.setattr(preprocessing, "plan", plan)
    data = small_dataset(tmp_path / "data", 2)
    with pytest.raises(SettingError, match=message):
        preprocess_here(data.find(), tmp_path / "records", **options)
    assert not (tmp_path / "records").exists()


def test_a_volume_that_no_worker_can_hold_is_refused(
    small_dataset: Any,
    tmp_path: Path,
    preprocess_here: Preprocess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "free_memory", lambda: 10_000)
    data = small_dataset(tmp_path / "data", 2)
    with pytest.raises(SettingError, match=r"spacing: .* in 10000 bytes of memory, received .* s"):
        preprocess_here(data.find(), tmp_path / "records")
    monkeypatch.setattr(room, "free_memory", lambda: None)
    preprocess_here(data.find(), tmp_path / "records")


def test_a_disk_smaller_than_the_shards_is_refused(
    small_dataset: Any,
    tmp_path: Path,
    preprocess_here: Preprocess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])(10_000, 0, 10_000)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage)
    data = small_dataset(tmp_path / "data", 2)
    with pytest.raises(SettingError, match=r"out_dir: .*expected at most 10000 bytes"):
        preprocess_here(data.find(), tmp_path / "deep" / "records")
