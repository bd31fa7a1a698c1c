"""The examples of CONTRIBUTING.md, written into a copy of the tree, do what it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)
DATASET, METHOD = "patients", "pair"
LIMIT_S = 600


def blocks() -> dict[str, str]:
    """Content of every block of CONTRIBUTING.md that is a file, by its place in the tree."""
    return dict(BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text()))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree and the examples' files: new ones, for the examples touch no other."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("tfadv", "tfrecords", "launch", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for place, content in blocks().items():
        path = folder / place
        assert not path.exists()
        path.write_text(content)
    return folder


def run(tree: Path, *command: object) -> str:
    """What a command of Python prints, with the tree's packages."""
    result = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def write_patients(folder: Path) -> None:
    for number in range(6):
        random = np.random.default_rng(number)
        label = np.zeros((32, 32, 4), np.uint8)
        label[10:20, 12:20] = 1
        image = (100 + 200 * label + random.integers(0, 50, label.shape)).astype(np.int16)
        (folder / f"p{number}").mkdir(parents=True)
        for name, array in {"t1": image, "lesion": label}.items():
            nib.save(nib.Nifti1Image(array, np.eye(4)), folder / f"p{number}" / f"{name}.nii.gz")


def test_two_whole_examples_are_found() -> None:
    assert list(blocks()) == [
        f"tfrecords/sources/layouts/{DATASET}.py",
        f"tests/tfrecords/sources/layouts/examples/{DATASET}.py",
        f"tfadv/methods/{METHOD}.py",
        f"tests/golden/methods/{METHOD}.json",
    ]


@pytest.mark.slow
def test_the_dataset_is_preprocessed_and_the_method_trains_on_it(tree: Path) -> None:
    write_patients(tree / "sources")
    told = run(tree, "launch/preprocess.py", "--dataset", DATASET, "--data_dir", "sources")
    assert "class lesion: " in told
    assert f"6 subjects in 5 folds, seed 0: records/{DATASET}" in told

    card = run(tree, "launch/methods.py", METHOD)
    assert f"{METHOD}: two convolutions and a critic" in card
    assert "a multiple of 2; ours: crop of a slice, voxels" in card

    flags = ("--method", METHOD, "--preset", "small", "--records", f"records/{DATASET}")
    run(tree, "launch/train.py", *flags, "--epochs", 1, "--steps_per_epoch", 2)
    assert (tree / "runs" / METHOD / "progress.json").is_file()


def conforming(tree: Path, suite: str, name: str) -> int:
    """How many tests of a conformance suite hold for an example."""
    told = run(tree, "-m", "pytest", "-p", "no:cacheprovider", "-n", 0, suite, "-k", name)
    passed = re.search(r"(\d+) passed", told)
    assert passed, told
    return int(passed[1])


@pytest.mark.slow
def test_the_dataset_conforms(tree: Path) -> None:
    suite = "tests/tfrecords/sources/layouts/test_conformance.py"
    assert conforming(tree, suite, f"[{DATASET}]") >= 9


@pytest.mark.slow
def test_the_method_conforms(tree: Path) -> None:
    """But for variants: nothing in an example is of theirs."""
    assert conforming(tree, "tests/tfadv/methods", METHOD) >= 12


@pytest.mark.slow
def test_the_examples_are_clean(tree: Path) -> None:
    """As `make lint` will say of them."""
    places = [place for place in blocks() if place.endswith(".py")]
    run(tree, "-m", "ruff", "check", "--no-cache", *places)
    run(tree, "-m", "ruff", "format", "--no-cache", "--check", *places)
    run(tree, "-m", "mypy", *(place for place in places if not place.startswith("tests")))
