"""What is read of dataset.json, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tfrecords.errors import UserError
from tfrecords.sources.dataset_json import Content, read_dataset_json

CHANNELS = {"0": "T1"}


def read(folder: Path, text: str | bytes) -> Content:
    path = folder / "dataset.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_dataset_json(path)


def content(folder: Path, **entries: Any) -> Content:
    found = {"channel_names": CHANNELS, "labels": {"background": 0, "a": 1}, **entries}
    return read(folder, json.dumps(found))


def test_a_byte_order_mark_and_unknown_entries_do_not_matter(tmp_path: Path) -> None:
    text = '{"modality": {"0": "T1"}, "labels": {"0": "rest", "1": "ä"}, "licence": [1]}'
    for start in ("", "\ufeff"):
        found = read(tmp_path, start + text)
        assert found.modalities() == ("T1",)
        assert [(c.name, c.labels) for c in found.classes()[0]] == [("rest", (0,)), ("ä", (1,))]


def test_names_that_are_digits_are_names_by_value_or_values_by_name(tmp_path: Path) -> None:
    for labels in ({"0": "0", "1": "1"}, {"0": 0, "1": 1}):
        classes, _ = content(tmp_path, labels=labels).classes()
        assert [(c.name, c.labels) for c in classes] == [("0", (0,)), ("1", (1,))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\xff\xfe\x00", "expected JSON in UTF-8, received: "),
        ('{"labels": {"ä": 1}}'.encode("latin-1"), "expected JSON in UTF-8"),
        ("", "expected JSON in UTF-8"),
        ("[" * 100_000, "expected JSON in UTF-8"),
        ("[1]", "Input should be a valid dictionary, received [1]"),
        ('{"labels": {"0": "a", "0": "b"}}', "'0': expected one entry of this name, received sev"),
    ],
)
def test_what_is_no_object_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}") as error:
        read(tmp_path, text)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({}, "labels: Dictionary should have at least 1 item"),
        ({"background": 0, "a": 1.5}, "labels: 'a': expected a whole number .* received 1.5$"),
        ({"background": 0, "a": True}, "labels: 'a': .* received true$"),
        ({"background": 0, "a": None}, "labels: 'a': .* received null$"),
        ({"background": 0, "a": "1"}, 'labels: .* received "1"$'),
        ({"background": 0, "a": []}, r"labels: 'a': .* received \[\]$"),
        ({"background": 0, "a": [1, "2"]}, r'labels: .* received \[1, "2"\]$'),
        ({"0": "background", "1": "a", "2": "a"}, "labels: .* received 'a' several times$"),
        ({"0": "background", "one": "a"}, "labels: .* received 'one'$"),
        ({"0": "background", "-1": "a"}, "labels: .* received '-1'$"),
        ({"0": "background", "1.5": "a"}, "labels: .* received '1.5'$"),
        ({"0": "background", "²": "a"}, "labels: .* received '²'$"),
    ],
)
def test_labels_are_not_taken_too_literally(
    tmp_path: Path, labels: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        content(tmp_path, labels=labels).classes()


@pytest.mark.parametrize("channels", [{"1": "T1"}, {"0": "T1", "2": "T2"}, {"00": "T1"}, {}])
def test_modalities_are_numbered_without_gaps(tmp_path: Path, channels: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"channel_names \(or modality\): .*without gaps, rec"):
        content(tmp_path, channel_names=channels).modalities()


@pytest.mark.parametrize(
    ("entries", "place"),
    [
        ({"channel_names": {"0": 1}}, "channel_names.0"),
        ({"channel_names": ["T1"]}, "channel_names"),
        ({"file_ending": ""}, "file_ending"),
        ({"file_ending": "nii.gz"}, "file_ending"),
        ({"file_ending": "./x/*"}, "file_ending"),
        ({"file_ending": 1}, "file_ending"),
        ({"training": {}}, "training"),
        ({"training": [{"image": 1, "label": "a"}]}, "training.0.image"),
        ({"dataset": "x"}, "dataset"),
        ({"dataset": {"a": {"images": "a", "label": "b"}}}, "dataset.a.images"),
        ({"dataset": {"a": {"images": ["a"]}}}, "dataset.a.label"),
    ],
)
def test_entries_of_another_kind_are_named(
    tmp_path: Path, entries: dict[str, Any], place: str
) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(place)}: [^:]+$") as error:
        content(tmp_path, **entries)
    assert "instance of" not in str(error.value)


def test_test_cases_are_a_list_of_images(tmp_path: Path) -> None:
    assert content(tmp_path, test=None).tests() == []
    assert content(tmp_path, test=["a.nii"]).tests() == ["a.nii"]
    for wrong in (["a", 1], {"a": "b"}, "a"):
        with pytest.raises(UserError, match=r"^test: expected the image of every test"):
            content(tmp_path, test=wrong).tests()
