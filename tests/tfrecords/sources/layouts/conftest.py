"""What tests of several layouts share."""

from collections.abc import Callable
from typing import Any

import pytest

from tfrecords.sources.layouts import demo_tissue


@pytest.fixture
def made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demonstrations' subjects are made in this process."""

    def map_here(function: Callable[[Any], object], items: list[Any], *_: object) -> list[Any]:
        return [(number, function(item)) for number, item in enumerate(items)]

    monkeypatch.setattr(demo_tissue, "parallel_map", map_here)
