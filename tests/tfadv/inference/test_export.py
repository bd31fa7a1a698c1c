"""A model's description, where it is damaged, and folders that are no models."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tfadv.inference.export import export, read_description
from tfrecords.errors import SettingError, UserError


def test_description_tells_channels_classes_and_grid(model_dir: Path) -> None:
    description = read_description(model_dir)
    assert description.modalities == ("t1", "t2")
    assert [c.name for c in description.classes] == ["background", "label_1", "label_2"]
    assert (description.method, description.orientation) == ("kohl_cross_entropy", "RAS")
    assert description.hyperparameters["epochs"] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "expected a JSON object"), ('{"format_version": 9}', "Export the run again")],
)
def test_a_damaged_description_is_one_line(
    model_dir: Path, tmp_path: Path, content: str, message: str
) -> None:
    shutil.copytree(model_dir / "assets", tmp_path / "assets")
    (tmp_path / "assets" / "description.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_description(tmp_path)


def test_a_folder_that_is_no_model_is_kept(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    nothing: Any = None
    with pytest.raises(SettingError, match=r"out_dir: .* is no SavedModel"):
        export(nothing, nothing, tmp_path)
    assert (tmp_path / "precious").read_text() == "x"
