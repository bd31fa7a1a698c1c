"""Export as a user runs it."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tfadv.inference.model import read_description
from tfadv.inference.versions import latest
from tfadv.run.run import Run
from tfadv.run.work_dir import WorkDir

ROUNDED: dict[str, bool | int | float | str] = {"precision": "mixed_bfloat16"}
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


@pytest.mark.slow
def test_a_run_of_bfloat16_becomes_an_onnx_file(
    run: WorkDir, tmp_path: Path, tfadv: Launch
) -> None:
    work_dir = WorkDir(tmp_path / "run")
    begun = replace(run.settings(), hyperparameters=run.settings().hyperparameters | ROUNDED)
    model = Run.open(begun).build_model()
    progress = run.restore(model)
    work_dir.begin(begun)
    work_dir.save(model, replace(progress, best_epoch=progress.epochs))
    path = tmp_path / "models" / "a.onnx"
    result = tfadv("export", "--work_dir", work_dir.folder, "--format=onnx", "--out_dir", path)
    assert result.returncode == 0, result.stderr
    remark, said = result.stdout.splitlines()
    assert remark.startswith(f"{path}: computes in float32, not in bfloat16")
    assert said == f"model: {path}, with its description in {path.with_suffix('.json')}"
    assert path.is_file()


@pytest.mark.parametrize("flags", [("--out_dir=a.onnx",), ("--format=onnx", "--out_dir=a")])
def test_a_name_tells_the_format(flags: tuple[str, ...], tfadv: Launch) -> None:
    result = tfadv("export", "--work_dir=x", *flags)
    assert result.returncode == 1
    expected = "--out_dir: expected a name ending in .onnx with --format=onnx alone, received a"
    assert result.stderr.startswith(f"error: {expected}")


def test_an_onnx_file_is_not_calibrated(tfadv: Launch) -> None:
    result = tfadv("export", "--work_dir=x", "--format=onnx", "--calibrate")
    assert result.returncode == 1
    assert result.stderr.startswith("error: --calibrate: expected without --format=onnx")
