"""Prediction as a user runs it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_writes_the_label_map(
    sources: Path, model_dir: Path, tmp_path: Path, launch: Launch
) -> None:
    images = [f"--image={sources / name}" for name in ("0_t1.nii.gz", "0_t2.nii.gz")]
    output = tmp_path / "label.nii.gz"
    result = launch("predict", "--model", model_dir, *images, "--output", output)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"label map: {output}\n"
    assert output.is_file()
