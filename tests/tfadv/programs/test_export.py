"""Export as a user runs it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

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
        f"model: {model}",
        f"Next: tfadv predict --model {model} {images} --output label.nii.gz",
    ]
    assert (model / "saved_model.pb").is_file()
