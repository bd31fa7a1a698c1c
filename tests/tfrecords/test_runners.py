import os
from pathlib import Path

import pytest

from tfrecords.errors import UserError
from tfrecords.geometry.nifti import read
from tfrecords.runners import parallel_map


def test_every_item_gets_its_own_result() -> None:
    items = [-3, 1, -4, 1, -5, 9]
    assert dict(parallel_map(abs, items, 2, "Testing")) == dict(enumerate([3, 1, 4, 1, 5, 9]))


def test_a_workers_message_to_the_user_arrives(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        list(parallel_map(read, [tmp_path / "missing.nii"], 1, "Testing"))


def test_a_killed_worker_is_explained() -> None:
    with pytest.raises(UserError, match=r"Testing: a worker process was killed.*fewer --workers"):
        list(parallel_map(os._exit, [1, 1, 1], 1, "Testing"))
