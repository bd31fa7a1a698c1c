import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tfrecords.errors import UserError
from tfrecords.files import CHECKSUM, VERSION, json_checksum
from tfrecords.records import manifest
from tfrecords.records.manifest import FORMAT_VERSION, load_manifest
from tfrecords.records.views import Patches, Slices, View, Volumes

Records = tuple[Any, Path]


@pytest.fixture
def copy(small_records: Records, tmp_path: Path) -> Path:
    """A record set to damage."""
    return Path(shutil.copytree(small_records[1], tmp_path / "records"))


def edit(folder: Path, **changes: object) -> None:
    """Changes entries, and the checksum with them."""
    path = folder / manifest.FILE_NAME
    content = json.loads(path.read_text()) | changes
    head = {name: content.pop(name) for name in (VERSION, CHECKSUM)}
    head[CHECKSUM] = json_checksum(content)
    path.write_text(json.dumps(head | content))


def test_saved_manifest_is_loaded_equal(small_records: Records, tmp_path: Path) -> None:
    loaded = load_manifest(small_records[1])
    loaded.save(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == (
        small_records[1] / "manifest.json"
    ).read_bytes()
    assert manifest.parse_manifest(tmp_path / "manifest.json") == loaded


@pytest.mark.parametrize(
    "view", [Slices(), Slices(foreground=True), Patches(9, 3, 7), Volumes()], ids=str
)
def test_a_view_is_stored_with_its_kind(small_records: Records, tmp_path: Path, view: View) -> None:
    loaded = load_manifest(small_records[1])
    replace(loaded, view=view, shards=loaded.select("volumes", loaded.folds)).save(tmp_path)
    stored = json.loads((tmp_path / "manifest.json").read_text())["view"]
    assert stored == {"kind": view.kind, **vars(view)}
    found = manifest.parse_manifest(tmp_path / "manifest.json").view
    assert (type(found), found) == (type(view), view)


def test_selection_is_by_kind_and_fold(small_records: Records) -> None:
    loaded = load_manifest(small_records[1])
    assert loaded.folds == ("0", "1", "2")
    chosen = loaded.select("volumes", ["2", "0"])
    assert {(s.kind, s.fold) for s in chosen} == {("volumes", "0"), ("volumes", "2")}
    subjects = {name for shard in chosen for name in shard.subjects}
    assert subjects == {s.name for s in loaded.subjects if s.fold in ("0", "2")}
    assert loaded.select("patches", ["0"]) == ()
    assert [loaded.class_index(name) for name in ("background", "label_2")] == [0, 2]
    with pytest.raises(UserError, match=r"expected among \['0', '1', '2'\], received \['7'\]"):
        loaded.select("slices", ["0", "7"])


def test_the_unlabelled_fold_is_none_of_the_folds(small_records: Records) -> None:
    loaded = load_manifest(small_records[1])
    assert loaded.unlabelled == ()
    assert all(subject.labelled for subject in loaded.subjects)
    shard = replace(loaded.select("volumes", ["0"])[0], fold="unlabelled")
    subject = replace(loaded.subjects[0], fold="unlabelled")
    some = replace(loaded, shards=(shard, *loaded.shards), subjects=(subject, *loaded.subjects))
    assert some.folds == loaded.folds
    assert some.unlabelled == (shard,)
    assert [s.labelled for s in some.subjects] == [False, *[True] * len(loaded.subjects)]
    assert some.select("volumes", some.folds) == loaded.select("volumes", loaded.folds)
    with pytest.raises(UserError, match=r"among \['0', '1', '2'\], received \['unlabelled'\]"):
        some.select("volumes", ["0", "unlabelled"])


def test_all_folds_but_that_of_training_may_be_held_out(small_records: Records) -> None:
    loaded = load_manifest(small_records[1])
    assert loaded.held_out_folds == loaded.folds
    shards = [replace(loaded.shards[0], fold=fold) for fold in ("training", "unlabelled")]
    some = replace(loaded, shards=(*shards, *loaded.shards))
    assert some.folds == ("0", "1", "2", "training")
    assert some.held_out_folds == ("0", "1", "2")
    assert some.select("slices", ["training"]) == (shards[0],)


def test_patches_of_a_subject_are_those_of_all_its_shards(small_records: Records) -> None:
    loaded = load_manifest(small_records[1])
    assert loaded.patches() == {}
    shard = replace(loaded.shards[0], kind="patches")
    shards = (
        replace(shard, subjects=("a", "b"), centres=((1, 2, 0), (4, 0, 6))),
        replace(shard, subjects=("a", "b"), centres=((10, 20, 0), (40, 0, 60))),
        replace(shard, kind="volumes", subjects=("a", "b")),
        replace(shard, subjects=("c",), centres=((0, 0, 7),)),
    )
    patches = replace(loaded, shards=shards).patches()
    assert patches == {"a": (11, 22, 0), "b": (44, 0, 66), "c": (0, 0, 7)}


def test_folder_without_a_manifest_is_no_record_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest.json: no such file; expected a record set"):
        load_manifest(tmp_path)


def test_another_format_version_is_refused(copy: Path) -> None:
    edit(copy, format_version=FORMAT_VERSION + 1)
    message = f"expected format version {FORMAT_VERSION}, received {FORMAT_VERSION + 1}"
    with pytest.raises(UserError, match=message):
        load_manifest(copy)


@pytest.mark.parametrize("content", [b"{", b"", b"[1, 2]", b"\xff\xfe\x00", b"null"])
def test_a_file_that_is_no_manifest_is_refused(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(UserError, match=r"manifest.json: expected (a JSON object|format version)"):
        load_manifest(copy)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"class_voxels": ["many"]}, "class_voxels.0"),
        ({"spacing_mm": [1.0, 1.0]}, "spacing_mm"),
        ({"shards": [{"file": "a"}]}, "shards.0"),
        ({"view": {"kind": "cubes"}}, "view"),
        ({"view": {"foreground": True}}, "view"),
        ({"view": "slices"}, "view"),
        ({"view": {"kind": "slices", "foreground": "perhaps"}}, "view.slices.foreground"),
        ({"view": {"kind": "patches", "patch_size": 4}}, "patch_size"),
    ],
)
def test_a_wrong_field_is_named(copy: Path, changes: dict[str, object], field: str) -> None:
    edit(copy, **changes)
    with pytest.raises(UserError, match=f"manifest.json: {field}"):
        load_manifest(copy)


def test_an_edited_manifest_is_refused(copy: Path) -> None:
    """A test subject that is to train, for one: well formed, and not what was written."""
    path = copy / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content))  # Laid out anew, it is the same.
    loaded = load_manifest(copy)
    for shard in content["shards"]:
        shard["fold"] = "0"
    for subject in content["subjects"]:
        subject["fold"] = "0"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"manifest.json: .* the file was edited or damaged\. Run"):
        load_manifest(copy)
    del content["checksum"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="the file was edited or damaged"):
        load_manifest(copy)
    loaded.save(copy)
    assert load_manifest(copy) == loaded


def test_a_contradiction_is_refused_whatever_the_checksum(copy: Path) -> None:
    edit(copy, largest_shape=[0, 0, 0])
    with pytest.raises(UserError, match=r"manifest.json: largest_shape: expected .* Run launch/"):
        load_manifest(copy)


def test_missing_and_truncated_shards_are_named_when_opening(copy: Path) -> None:
    shard = load_manifest(copy).shards[3]
    path = copy / shard.file
    path.write_bytes(path.read_bytes()[:-1])
    truncated = f"{path}: expected {shard.bytes} bytes, received {shard.bytes - 1} bytes"
    with pytest.raises(UserError) as error:
        load_manifest(copy)
    assert str(error.value).startswith(truncated)
    assert "launch/preprocess.py again" in str(error.value)
    path.unlink()
    with pytest.raises(UserError, match="received no such file"):
        load_manifest(copy)


def test_shards_account_for_every_subject_and_example(small_records: Records) -> None:
    data, folder = small_records
    loaded = load_manifest(folder)
    for kind, per_subject in (("slices", 8), ("volumes", 1)):
        shards = loaded.select(kind, loaded.folds)
        names = [name for shard in shards for name in shard.subjects]
        assert sorted(names) == sorted(data.table["subject"])
        assert all(s.examples == per_subject * len(s.subjects) for s in shards)
    for record in loaded.subjects:
        assert sorted(map(Path, record.files)) == sorted(
            data.path(record.name, column) for column in ("t1", "t2", "label")
        )
    assert asdict(loaded.subjects[0].source) == asdict(loaded.subjects[0].working)
