"""A server for real, for seconds: serving/trial.py is the same for minutes."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests

from serving.clients import refusals, under_load
from serving.process import PYTHON, Served, serving
from tfadv.inference.model import local
from tfadv.inference.prediction import predict
from tfadv.inference.server import remote
from tfrecords.errors import UserError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.is_file(), reason=f"{PYTHON}: no such file; run make server"),
]
LOAD_S = 6


@pytest.fixture(scope="module")
def served(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The model as versions 1 and 2 of `balls`."""
    folder = tmp_path_factory.mktemp("served")
    for version in "12":
        shutil.copytree(model_dir, folder / "models" / "balls" / version)
    with serving(folder / "models", folder / "log") as process:
        yield process


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_served_model_predicts_as_it_does_here(
    scheme: str, served: Served, model_dir: Path, sources: Path, tmp_path: Path
) -> None:
    images = [sources / f"0_{name}.nii.gz" for name in ("t1", "t2")]
    far, near = tmp_path / "far.nii.gz", tmp_path / "near.nii.gz"
    model = remote(served.address(scheme, "balls"))
    assert model.checksum == local(model_dir).checksum
    predict(model, images, far, save_probabilities=True)
    predict(local(model_dir), images, near, save_probabilities=True)
    for name in ("", "_probabilities"):
        found, expected = (
            np.asarray(nib.Nifti1Image.from_filename(tmp_path / f"{path}{name}.nii.gz").dataobj)
            for path in ("far", "near")
        )
        np.testing.assert_array_equal(found, expected)
    assert expected.shape[-1] == 3


def test_what_is_no_volume_is_refused_in_words(served: Served) -> None:
    random = np.random.default_rng(0)
    volume = random.integers(1, 99, (3, 32, 32, 2)).astype(np.float32)
    for scheme in ("grpc", "http"):
        address = served.address(scheme, "balls")
        said = refusals(remote(address).open(False), volume)
        expected = {
            "NaN": "volume: expected finite intensities. Received NaN or infinity",
            "one channel more": "volume [Z, Y, X, C]: expected 2 channels, one per modality of",
            "an empty channel": "volume: expected intensities that differ in every channel, of a",
        }
        assert said.keys() == expected.keys()
        for name, text in expected.items():
            assert said[name].startswith(f"{address}: {text}"), said


@pytest.mark.parametrize(
    ("path", "given", "said"),
    [
        (
            "models/balls/infer",
            {"shape": [9, 9]},
            "volume: expected numbers of its datatype, as many",
        ),
        (
            "models/balls/infer",
            {"shape": [-1, 2]},
            "volume: expected numbers of its datatype, as m",
        ),
        (
            "models/balls/infer",
            {"data": ["x", "y"]},
            "volume: expected numbers of its datatype, as",
        ),
        ("models/balls/infer", {"data": [300, 1], "datatype": "UINT8"}, "volume: expected numbers"),
        ("models/balls/infer", {}, "volume: expected 4 axes, received shape [1, 2]"),
        ("models/balls/infer", {"name": "image"}, "no signature takes image of float32"),
        (
            "repository/models/balls/unload",
            {},
            "balls: this server loads its models when it starts",
        ),
        ("repository/models/balls/load", {}, "balls: this server loads its models when it starts"),
    ],
)
def test_a_wrong_request_is_refused_in_a_line(
    path: str, given: dict[str, object], said: str, served: Served
) -> None:
    remote(served.address("http", "balls"))  # Waits until it answers, and does after each.
    volume = {"name": "volume", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0], **given}
    url = f"http://localhost:{served.ports[0]}/v2/{path}"
    answer = requests.post(url, json={"inputs": [volume]}, timeout=60)
    assert answer.status_code == 400
    line = answer.json()["error"]
    assert line.startswith(said)
    assert "\n" not in line


def test_a_model_that_changed_is_not_served(model_dir: Path, tmp_path: Path) -> None:
    version = Path(shutil.copytree(model_dir, tmp_path / "balls" / "1"))
    weights = next(version.glob("variables/*.data-*"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    command = [str(PYTHON), str(PYTHON.parents[2] / "serve.py"), "--models", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    name = weights.relative_to(version)
    reason = f"({name} changed since it was exported); export it again"
    last = ended.stderr.strip().splitlines()[-1]
    assert last == f"error: {version}: cannot be loaded {reason}"
    assert "Traceback" not in ended.stderr


def test_a_kill_under_load_costs_no_answer(
    served: Served, model_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    volumes = [
        np.random.default_rng(n).integers(1, 99, (3, 32 + n, 32, 2)).astype(np.float32)
        for n in range(3)
    ]
    here = local(model_dir).open(False)
    expected = [here(volume).label for volume in volumes]
    began = time.monotonic()

    def restart() -> None:
        served.kill()
        served.start()

    timer = threading.Timer(LOAD_S / 2, restart)
    timer.start()
    answered = under_load(
        lambda: remote(served.address("grpc", "balls")),
        volumes,
        expected,
        3,
        lambda: time.monotonic() - began > LOAD_S and not timer.is_alive(),
    )
    assert answered.wrong == []
    assert len(answered.seconds) > 6
    assert any("trying again" in message for message in caplog.messages)


def test_a_model_that_is_not_there_is_one_line(served: Served) -> None:
    address = served.address("grpc", "others")
    with pytest.raises(UserError, match=rf"^{address}: expected an answer, .*not found.*Look"):
        remote(address)
