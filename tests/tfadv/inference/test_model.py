"""Models that are damaged, changed or not what they say; and volumes that one refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfadv.inference import description, model
from tfadv.inference.model import load, read_description
from tfrecords.errors import UserError
from tfrecords.files import CHECKSUM, VERSION, file_checksum, write_json
from tfrecords.geometry.grid import make_grid, working_grid

Rewrite = Callable[[Path, dict[str, Any]], None]
DESCRIPTION = "assets/description.json"
SOURCE = make_grid((12, 13, 14), np.eye(4))


@pytest.fixture
def copy(model_dir: Path, tmp_path: Path) -> Path:
    """A model to damage."""
    return shutil.copytree(model_dir, tmp_path / "model")


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "expected a JSON object"), ('{"format_version": 1}', "Export the run again")],
)
def test_a_damaged_description_is_one_line(copy: Path, content: str, message: str) -> None:
    (copy / DESCRIPTION).write_text(content)
    with pytest.raises(UserError, match=message):
        read_description(copy)


def test_a_folder_without_a_description_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file; expected a model made by launch/export"):
        read_description(tmp_path)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", "fingerprint.pb"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_changed_file_is_named_before_anything_is_loaded(
    copy: Path, name: str, damage: str
) -> None:
    content = (copy / name).read_bytes()
    if damage == "flip":
        (copy / name).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "truncate":
        (copy / name).write_bytes(content[: len(content) // 2])
    else:
        (copy / name).unlink()
    fault = "no such file any more" if damage == "remove" else "changed since it was exported"
    with pytest.raises(UserError, match=rf"model/{name}: {fault}\. Export the run again"):
        read_description(copy)


@pytest.mark.parametrize("name", ["saved_model.cpb", "assets.extra/run.py", "variables/x"])
def test_a_strange_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("")
    with pytest.raises(UserError, match=rf"model/{name}: .* a SavedModel is a program\. Take it"):
        read_description(copy)


@pytest.mark.parametrize("name", ["variables", "saved_model.pb", "assets/more"])
def test_a_link_that_leads_out_is_refused(copy: Path, model_dir: Path, name: str) -> None:
    """Even to what was exported: it may change after it was looked at."""
    if (copy / name).is_dir():
        shutil.rmtree(copy / name)
    (copy / name).unlink(missing_ok=True)
    (copy / name).symlink_to(model_dir / name)
    with pytest.raises(UserError, match=rf"model/{name}: .* a link that leads out of .*Copy"):
        read_description(copy)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_what_tensorflow_cannot_load_is_one_line(
    copy: Path, rewrite_json: Rewrite, name: str, keep: float
) -> None:
    """Though the description vouches for it."""
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(keep * len(content))])
    files = json.loads((copy / DESCRIPTION).read_text())["files"]
    rewrite_json(copy / DESCRIPTION, {"files": files | {name: file_checksum(copy / name)}})
    description = read_description(copy)
    with pytest.raises(UserError, match=rf"^{copy}: cannot be loaded .*Export the run again$"):
        load(copy, description)


@pytest.mark.slow
def test_a_model_that_is_described_otherwise_is_refused(copy: Path, rewrite_json: Rewrite) -> None:
    rewrite_json(copy / DESCRIPTION, {"modalities": ["t1"]})
    with pytest.raises(UserError, match=r"expected a model of 1 channels .* received one of 2"):
        load(copy, read_description(copy))


def test_a_volume_that_the_model_refuses_is_one_line(model_dir: Path) -> None:
    segment = load(model_dir, read_description(model_dir))
    volume = np.random.default_rng(0).uniform(1, 9, (3, 32, 32, 2))
    assert segment(volume).label.shape == (3, 32, 32)
    for wrong, message in (
        (volume * 0, r"expected intensities that differ .* in the channels: \[0 1\]"),
        (volume * np.nan, r"expected finite intensities\. .* Shape: \[3 32 32 2\]"),
        (volume[..., :1], r"expected 2 channels, .* Received shape: \[3 32 32 1\]"),
    ):
        with pytest.raises(UserError, match=f"^{model_dir}: volume.*{message}$"):
            segment(wrong)


@pytest.mark.slow
def test_labels_are_the_likeliest_classes(model_dir: Path) -> None:
    description = read_description(model_dir)
    volume = np.random.default_rng(0).uniform(1, 9, (3, 32, 32, 2))
    found = load(model_dir, description)(volume)
    values = np.array([one.labels[0] for one in description.classes])
    assert found.probabilities.shape == (3, 32, 32, len(description.maps))
    np.testing.assert_array_equal(found.label, values[found.probabilities.argmax(axis=-1)])
    np.testing.assert_allclose(found.probabilities.sum(axis=-1), 1, atol=1e-5)


def test_lack_of_memory_is_one_line(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise model.tf.errors.ResourceExhaustedError(None, None, "OOM")

    segment = load(model_dir, read_description(model_dir))
    monkeypatch.setattr(model.tf, "constant", refused)
    with pytest.raises(UserError, match=f"^{model_dir}: out of memory for a volume of 3x4x5x2 vo"):
        segment(np.ones((3, 4, 5, 2)))


@pytest.mark.slow
def test_an_error_of_another_cause_passes_through(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = load(model_dir, read_description(model_dir))
    monkeypatch.setattr(model, "refusal", lambda _: "")
    with pytest.raises(model.tf.errors.InvalidArgumentError):
        segment(np.zeros((3, 32, 32, 2)))


@pytest.mark.slow
def test_a_description_changed_at_random_is_refused_or_read(
    copy: Path, mutated: Callable[[Any, np.random.Generator], Any]
) -> None:
    path = copy / DESCRIPTION
    content = json.loads(path.read_text()) | {
        "wanted_spacing_mm": [1.0, 0.0, 2.0],
        "crop": [5, 6, 7],
    }
    del content[VERSION], content[CHECKSUM]
    random = np.random.default_rng(0)
    messages = []
    for _ in range(400):
        changed = mutated(content, random)
        if isinstance(changed, dict):
            write_json(
                path, changed, description.VERSION
            )  # Its checksum holds; its content may not.
        else:
            path.write_text(json.dumps(changed))
        try:
            found = read_description(copy)
        except UserError as error:
            messages.append(str(error))
        else:
            working_grid(SOURCE, found.orientation, found.wanted_spacing_mm, found.crop)
    assert len(messages) > 100
    assert all(str(copy) in message and "\n" not in message for message in messages)
