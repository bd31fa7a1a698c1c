"""The cost of a method as a user asks for it."""

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
    result = launch("measure", *flags, "--hp.width=2", "--hp.batch_size=3", "--repetitions=1")
    assert result.returncode == 0, result.stderr
    volume, step = result.stdout.splitlines()
    assert volume.startswith("volume of ")
    assert step.startswith("training step, batch 3, mixed_bfloat16: ")
