"""The file: its description, what it takes the place of, what does not fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from tfadv.inference import onnx_file
from tfadv.inference.export import VERSION, Description
from tfadv.inference.onnx_file import export_onnx, require_own
from tfadv.run.ensemble import load_ensemble
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import SettingError
from tfrecords.files import file_checksum, read_json


@pytest.mark.slow
def test_a_run_becomes_a_file_that_is_described_in_it_and_beside_it(
    run: WorkDir, tmp_path: Path
) -> None:
    ensemble = load_ensemble([run])
    predictor = ensemble.predictor()
    path = tmp_path / "models" / "a.onnx"
    for _ in range(2):  # A file of its own is replaced.
        export_onnx(predictor, ensemble.describe(predictor), path)
    beside = read_json(path.with_suffix(".json"), Description, VERSION, "")
    assert beside.files == {"a.onnx": file_checksum(path)}
    assert [member.method for member in beside.members] == ["kohl_cross_entropy"]
    model = onnx.load(path)
    (entry,) = model.metadata_props
    assert entry.key == "description"
    said = json.loads(path.with_suffix(".json").read_text())
    assert json.loads(entry.value) == {
        name: value if name != "files" else {}
        for name, value in said.items()
        if name not in ("format_version", "checksum")
    }
    assert {file.name for file in path.parent.iterdir()} == {"a.onnx", "a.json"}
    dims = [dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["Z", "Y", "X", ""]


@pytest.mark.parametrize("name", ["precious.onnx", "precious.json"])
@pytest.mark.parametrize("make", [lambda path: path.write_text("{}"), Path.mkdir])
def test_what_is_not_ours_is_kept(
    name: str, make: Callable[[Path], object], tmp_path: Path
) -> None:
    nothing: Any = None
    make(tmp_path / name)
    with pytest.raises(
        SettingError, match=r"out_dir: expected .*precious\.onnx and precious\.json"
    ):
        export_onnx(nothing, nothing, tmp_path / "precious.onnx")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_in_the_folders_place_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(SettingError, match=rf"out_dir: expected .* received the file {tmp_path}/a"):
        require_own(tmp_path / "a" / "b" / "c.onnx")


def test_more_weights_than_a_file_holds_are_one_line(
    run: WorkDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST_BYTES", 1000)
    ensemble = load_ensemble([run])
    predictor = ensemble.predictor()
    with pytest.raises(SettingError, match=r"format: expected weights of at most 1000 bytes"):
        export_onnx(predictor, ensemble.describe(predictor), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
