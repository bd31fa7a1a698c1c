"""A model's description, and folders that are no models."""

from pathlib import Path
from typing import Any

import pytest

from tfadv.inference.export import export
from tfadv.inference.model import read_description
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import SettingError


def test_description_tells_channels_classes_grid_and_the_run(model_dir: Path, run: WorkDir) -> None:
    description = read_description(model_dir)
    assert description.modalities == ("t1", "t2")
    assert [c.name for c in description.classes] == ["background", "label_1", "label_2"]
    assert description.orientation == "RAS"
    (member,) = description.members
    assert (member.method, member.seed) == ("kohl_cross_entropy", 0)
    assert member.hyperparameters["epochs"] == 2
    assert (member.training_folds, member.validation_folds) == (("0",), ("1",))
    assert member.selected_by == "mean"
    assert 0 < member.epoch <= 2
    assert member.validation == run.progress().best
    files = {
        path.relative_to(model_dir).as_posix() for path in model_dir.rglob("*") if path.is_file()
    }
    assert {"saved_model.pb", "fingerprint.pb", "variables/variables.index"} < files
    assert set(description.files) == files - {"assets/description.json"}


def test_a_folder_of_something_else_is_kept(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    nothing: Any = None
    with pytest.raises(SettingError, match=r"out_dir: .* which is something else"):
        export(nothing, nothing, tmp_path)
    assert (tmp_path / "precious").read_text() == "x"
