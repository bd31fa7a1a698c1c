"""Export as a user runs it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tfadv.inference.model import read_description
from tfadv.inference.versions import latest
from tfadv.run.work_dir import WorkDir

Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_tells_the_model_and_how_to_use_it(run: WorkDir, tmp_path: Path, tfadv: Launch) -> None:
    model = tmp_path / "model"
    result = tfadv("export", "--work_dir", run.folder, "--out_dir", model)
    assert result.returncode == 0, result.stderr
    images = "--image t1.nii.gz --image t2.nii.gz"
    # And nothing of what TensorFlow has to say about it.
    assert result.stdout.splitlines() == [
        f"model: {model / '1'}",
        f"Next: tfadv predict --model {model} {images} --output label.nii.gz",
    ]
    assert (model / "1" / "saved_model.pb").is_file()


@pytest.mark.slow
def test_several_runs_follow_the_flag(
    run: WorkDir, other_run: WorkDir, tmp_path: Path, launch: Launch
) -> None:
    model = tmp_path / "model"
    folders = ("--work_dir", run.folder, other_run.folder)
    result = launch("export", *folders, "--mirror", "--mirror_axes=x", "--out_dir", model)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"model: {model / '1'}, of 2 runs\n")
    assert [member.mirrored for member in read_description(latest(model)).members] == 2 * [("x",)]
