"""The programs as a user runs them, in processes of their own (few: each imports TensorFlow)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
Small = tuple[object, Path]


def command(program: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "launch" / f"{program}.py"), *map(str, arguments)]


def launch(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(program, *arguments), capture_output=True, text=True, check=False)


def training(records: Path, work_dir: Path, *more: object) -> list[object]:
    return [
        *("--method", "kohl_purely_adversarial", "--preset", "small", "--deterministic"),
        *("--records", records, "--work_dir", work_dir, "--epochs", 3, "--steps_per_epoch", 4),
        *("--hp.batch_size=2", "--hp.width=4", "--hp.discriminator_width=4", *more),
    ]


def arrays(work_dir: Path) -> dict[str, np.ndarray]:
    """Everything in the last checkpoint, optimizers included."""
    (path,) = work_dir.glob("checkpoints/epoch-0003.weights.h5")
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


@pytest.mark.slow
def test_killed_training_ends_with_the_same_weights(small_records: Small, tmp_path: Path) -> None:
    """SIGKILL after the first epoch, at whatever moment; then evaluate, export and predict."""
    records = small_records[1]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = launch("train", *training(records, whole))
    assert done.returncode == 0, done.stderr
    process = subprocess.Popen(
        command("train", *training(records, killed)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline_s = time.monotonic() + 300
    while not (killed / "progress.json").is_file() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (killed / "progress.json").is_file()
    resumed = launch("train", *training(records, killed))
    assert resumed.returncode == 0, resumed.stderr
    one, two = arrays(whole), arrays(killed)
    assert one.keys() == two.keys()
    assert any("optimizer" in name for name in one)
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)
    assert (whole / "history.csv").read_text() == (killed / "history.csv").read_text()

    evaluated = launch("evaluate", "--work_dir", whole)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "dice" in evaluated.stdout
    exported = launch("export", "--work_dir", whole, "--out_dir", tmp_path / "model")
    assert exported.returncode == 0, exported.stderr
    data = small_records[0]
    images = [f"--image={data.path('s0', m)}" for m in ("t1", "t2")]  # type: ignore[attr-defined]
    label = tmp_path / "label.nii.gz"
    predicted = launch("predict", "--model", tmp_path / "model", *images, "--output", label)
    assert predicted.returncode == 0, predicted.stderr
    assert label.is_file()


@pytest.mark.slow
def test_methods_lists_and_prints_cards() -> None:
    listed = launch("methods")
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert {"kohl_purely_adversarial", "kohl_cross_entropy", "kohl_hybrid"} <= set(names)
    shown = launch("methods", "kohl_hybrid", "--channels", 3, "--classes", 4)
    assert "segmentor parameters: 15675012" in shown.stdout


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("train", [], "--method"),
        ("train", ["--method", "kohl_hybrid", "--epochs", "none"], "--epochs"),
        ("evaluate", [], "--work_dir"),
        ("experiment", [], "expected one study file"),
        ("measure", [], "--method"),
        ("predict", ["--model", "m", "--image", "i", "stray"], "--output"),
    ],
)
def test_wrong_flags_are_one_line(program: str, arguments: list[str], message: str) -> None:
    result = launch(program, *arguments)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("train", ["--method", "nothing"], "expected one of kohl_cross_entropy"),
        ("evaluate", ["--work_dir", "nowhere"], "expected a run made by launch/train.py"),
        ("experiment", ["nowhere.toml"], "expected a study file (TOML)"),
        ("predict", ["--model=m", "--image=i", "--output=o.nii"], "made by launch/export.py"),
    ],
)
def test_wrong_values_are_one_message(program: str, arguments: list[str], message: str) -> None:
    result = launch(program, *arguments)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
