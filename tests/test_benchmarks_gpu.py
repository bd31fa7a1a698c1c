"""The checks that want a GPU, as far as a CPU shows them."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tensorflow as tf

from tests.loading import load
from tfadv import methods

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu() -> ModuleType:
    return load(FOLDER / "gpu.py")


def test_rows_are_of_the_papers_sizes(gpu: ModuleType) -> None:
    for name, precision, *values in gpu.rows():
        method = methods.get(name).configure("paper", [f"precision={precision}", *values])
        image, label, _ = gpu.SHAPES[name]
        assert image[0] == label[0] == method.batch_size
        assert {image[1]} <= {87, getattr(method, "crop_size", 87)}
    assert len({methods.get(name).paper for name in gpu.SHAPES}) == 4


def test_a_batch_has_the_labels_of_its_centre(gpu: ModuleType) -> None:
    gpu.SHAPES["moeskops_dilated_adversarial"] = ([2, 9, 9, 1], [2, 3, 3], 2)
    gpu.SHAPES["segan_s3_3c"] = ([1, 4, 6, 2], [1, 4, 6, 3], 3)
    patches, slices = (gpu.batch_of(n, 2) for n in ("moeskops_dilated_adversarial", "segan_s3_3c"))
    assert patches["image"].shape == (4, 9, 9, 1)
    np.testing.assert_array_equal(patches["label"], patches["image"][:, 3:6, 3:6, 0] > 0)
    assert slices["label"].shape == (2, 4, 6, 3)
    np.testing.assert_array_equal(slices["label"][..., 2], slices["image"][..., 0] > 0)


STUB = """#!/bin/bash
case "$*" in
-c*) ;;
*--list) printf 'one float32\\nother mixed_float16 parts=2\\n' ;;
*other*) echo "some words" >&2; exit 3 ;;
*) echo "did $*" ;;
esac
"""


def test_every_row_has_its_turn_and_a_failure_is_told(tmp_path: Path) -> None:
    """As where there is a GPU: what stands in for Python says so."""
    python = tmp_path / "python"
    python.write_text(STUB)
    python.chmod(0o755)
    command = ["bash", FOLDER / "gpu.sh", python]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    told = [line for line in found.stdout.splitlines() if line.startswith("did")]
    assert told[0].startswith("did launch/measure.py --method kohl_hybrid --preset small")
    assert told[1:] == [
        "did benchmarks/gpu.py one float32",
        "did benchmarks/gpu.py --replicas kohl_hybrid",
        "did benchmarks/gpu.py --replicas moeskops_dilated_adversarial",
    ]
    failed = f"failed: {python} benchmarks/gpu.py other mixed_float16 parts=2"
    assert found.stderr.splitlines() == [failed, "some words"]


@pytest.mark.slow
def test_on_a_cpu_a_line_says_that_there_is_no_gpu() -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is one")
    found = subprocess.run(
        ["bash", FOLDER / "gpu.sh", sys.executable], capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    (line,) = found.stdout.splitlines()
    assert line.startswith("gpu.sh: TensorFlow finds no GPU here")
