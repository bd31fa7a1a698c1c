"""Manifests changed at random: refused in one line, or read as what they say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.files import CHECKSUM, VERSION, json_checksum
from tfrecords.records import manifest
from tfrecords.records.manifest import parse_manifest
from tfrecords.records.views import Patches, View
from tfrecords.writing.preprocessing import Options

Mutated = Callable[[Any, np.random.Generator], Any]
COUNT = 400


@pytest.fixture(params=[Options().view, Patches(9, 3, 7)], ids=str)
def folder(
    request: pytest.FixtureRequest,
    small_dataset: Callable[..., Any],
    preprocess_here: Callable[..., Any],
    tmp_path: Path,
) -> Path:
    """With a region and an unlabelled subject, so that every entry holds something."""
    view: View = request.param
    data = small_dataset(tmp_path / "data", 4)
    data.unlabel("s3")
    preprocess_here(data.find(unlabelled=True), tmp_path / "records", view=view, crop=(9, 9, 9))
    return tmp_path / "records"


def use(folder: Path, found: manifest.Manifest) -> None:
    """What reading asks of a manifest first; and it is written as it was read."""
    found.patches()
    found.select(found.view.kind, found.folds)
    assert all(found.class_index(c.name) >= 0 for c in found.classes)
    found.save(folder)
    assert parse_manifest(folder / manifest.FILE_NAME) == found


def test_a_changed_manifest_is_refused(folder: Path, mutated: Mutated) -> None:
    path = folder / manifest.FILE_NAME
    content, loaded = json.loads(path.read_text()), parse_manifest(path)
    random = np.random.default_rng(0)
    messages = []
    for _ in range(COUNT):
        path.write_text(json.dumps(mutated(content, random)))
        try:
            assert parse_manifest(path) == loaded
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 0.9 * COUNT
    assert all(str(path) in message for message in messages)


@pytest.mark.slow
def test_a_changed_manifest_with_another_checksum_is_refused_or_can_be_used(
    folder: Path, mutated: Mutated
) -> None:
    path = folder / manifest.FILE_NAME
    content = json.loads(path.read_text())
    head = {name: content.pop(name) for name in (VERSION, CHECKSUM)}
    content["regions"] = {"both": ["label_1", "label_2"]}
    random = np.random.default_rng(1)
    messages = []
    for _ in range(COUNT):
        changed = mutated(content, random)
        head[CHECKSUM] = json_checksum(changed)
        path.write_text(json.dumps(head | changed))
        try:
            found = parse_manifest(path)
        except UserError as error:
            messages.append(str(error))
        else:
            use(folder, found)
    assert len(messages) > 0.5 * COUNT
    assert all(str(path) in message and "\n" not in message for message in messages)
