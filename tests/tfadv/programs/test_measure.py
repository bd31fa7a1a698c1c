"""The cost of a method as a user asks for it."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_tells_what_a_volume_and_a_step_cost(
    small_records: tuple[object, Path], launch: Launch
) -> None:
    flags = ("--method=kohl_cross_entropy", "--preset=small", "--records", small_records[1])
    result = launch(
        "measure",
        *flags,
        *("--hp.width=2", "--hp.convolutions=1", "--hp.batch_size=3", "--repetitions=1"),
    )
    assert result.returncode == 0, result.stderr
    rows = [line.strip("| ").split(" | ") for line in result.stdout.splitlines()]
    assert [len(row) for row in rows] == [1, 1, *[2] * (len(rows) - 2)]
    told = dict(row for row in rows if len(row) == 2)
    assert told["devices"] == f"1 CPU ({os.cpu_count()} cores)"
    assert (
        told["method"]
        == "kohl_cross_entropy --preset small --hp.width=2 --hp.convolutions=1 --hp.batch_size=3"
    )
    assert {"tensorflow", "keras", "system"} <= told.keys()
    (volume,) = (told[title] for title in told if title.startswith("volume of "))
    step = told["training step, batch 3, mixed_bfloat16"]
    for cost in (volume, step):
        assert re.fullmatch(r"\d+\.\d\d s, peak memory \d\.\d\d GB", cost)
