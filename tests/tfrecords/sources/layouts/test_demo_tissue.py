"""The demonstration's tissues, and where demonstrations are made."""

from pathlib import Path

import pytest

from tfrecords.errors import UserError
from tfrecords.sources import layouts
from tfrecords.sources.layouts import demo_tissue
from tfrecords.writing.scan import scan

pytestmark = pytest.mark.usefixtures("made_here")


def test_subjects_are_made_whole_and_without_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_tissue, "SUBJECTS", 1)
    layouts.make("demo_tissue", tmp_path / "demo", workers=1)
    dataset = layouts.find("demo_tissue", tmp_path / "demo")
    (subject,) = dataset.subjects
    found = scan(subject, dataset)
    assert found.findings == ()
    assert found.dtype == "int16"
    assert set(found.label_counts) == {0, 1, 2, 3}
    assert {label for c in dataset.classes for label in c.labels} == {0, 1, 2, 3}


def test_without_a_folder_they_have_one_of_their_own() -> None:
    dataset = layouts.find("demo_tissue", None)
    assert dataset.subjects[0].label.is_relative_to("data/demo_tissue")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("demo_tissue", "demo_tumour"):
        with pytest.raises(UserError, match="data_dir: expected a folder to write to"):
            layouts.make(name, tmp_path / "file", workers=1)
