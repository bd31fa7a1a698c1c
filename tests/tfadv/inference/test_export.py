"""A model's description, and folders that are no models."""

from pathlib import Path
from typing import Any

import pytest

from tfadv.inference.export import export
from tfadv.inference.model import read_description
from tfrecords.errors import SettingError


def test_description_tells_channels_classes_and_grid(model_dir: Path) -> None:
    description = read_description(model_dir)
    assert description.modalities == ("t1", "t2")
    assert [c.name for c in description.classes] == ["background", "label_1", "label_2"]
    assert (description.method, description.orientation) == ("kohl_cross_entropy", "RAS")
    assert description.hyperparameters["epochs"] == 2
    files = {path.relative_to(model_dir).as_posix() for path in model_dir.rglob("*.*")}
    assert {"saved_model.pb", "fingerprint.pb", "variables/variables.index"} < files
    assert set(description.files) == files - {"assets/description.json"}


def test_a_folder_that_is_no_model_is_kept(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    nothing: Any = None
    with pytest.raises(SettingError, match=r"out_dir: .* is no SavedModel"):
        export(nothing, nothing, tmp_path)
    assert (tmp_path / "precious").read_text() == "x"
