"""Prediction as a user runs it."""

import shutil
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
    assert result.stdout.startswith(f"label map: {output}\nentropy ")
    assert output.is_file()


@pytest.mark.slow
def test_predicts_a_folder_and_names_who_failed(
    sources: Path, model_dir: Path, tmp_path: Path, launch: Launch
) -> None:
    (tmp_path / "images").mkdir()
    for number in (0, 1):
        for name in ("t1", "t2")[: 2 - number]:
            shutil.copy(
                sources / f"{number}_{name}.nii.gz",
                tmp_path / "images" / f"s{number}_{name}.nii.gz",
            )
    flags = ("--model", model_dir, "--images", tmp_path / "images", "--output", tmp_path / "out")
    result = launch("predict", *flags)
    assert result.returncode == 1
    assert "error: s1: expected a file for each of t1, t2, received" in result.stderr
    assert "error: 1 of 2 subjects failed, for the reasons above: s1. " in result.stderr
    assert [path.name for path in (tmp_path / "out").glob("*.gz")] == ["s0.nii.gz"]
    shutil.copy(sources / "1_t2.nii.gz", tmp_path / "images" / "s1_t2.nii.gz")
    result = launch("predict", *flags)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"label maps: {tmp_path / 'out'} (1 made, 1 kept)",
        f"what to expect of them: {tmp_path / 'out' / 'predictions.csv'}",
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--images: expected this or --image, received none"),
        (("--image=a", "--images=b"), "--images: expected this or --image, received both"),
        (("--image=a", "--overwrite"), "--overwrite: expected with --images alone"),
    ],
)
def test_flags_that_do_not_belong_together(
    flags: tuple[str, ...], message: str, tmp_path: Path, launch: Launch
) -> None:
    result = launch("predict", "--model=m", f"--output={tmp_path}", *flags)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {message}")
