"""The demonstration's tumours: what they promise, and only what is missing."""

from pathlib import Path

import pytest

from tfrecords.sources import layouts
from tfrecords.sources.layouts import demo_tumour
from tfrecords.sources.subject import Subject
from tfrecords.writing.scan import scan

pytestmark = pytest.mark.usefixtures("made_here")


def test_subjects_are_made_whole_and_without_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_tumour, "SUBJECTS", 1)
    layouts.make("demo_tumour", tmp_path / "demo", workers=1)
    dataset = layouts.find("demo_tumour", tmp_path / "demo")
    (subject,) = dataset.subjects
    found = scan(subject, dataset)
    assert found.findings == ()
    assert found.dtype == "int16"
    assert set(found.label_counts) == {0, 1, 2, 4}
    assert {label for c in dataset.classes for label in c.labels} == {0, 1, 2, 4}


def test_only_missing_subjects_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(folder: Path, name: str, number: int, *_: bool) -> None:
        subject: Subject = demo_tumour._subject(folder, number)
        assert subject.name == name
        made.append(name)
        for path in subject.files:
            path.parent.mkdir(exist_ok=True)
            path.touch()

    monkeypatch.setattr(demo_tumour.phantom, "make_tumour_subject", make)
    monkeypatch.setattr(demo_tumour, "SUBJECTS", 3)
    dataset = layouts.find("demo_tumour", tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
    layouts.make("demo_tumour", tmp_path / "demo", workers=1)
    assert made == ["tumour_000", "tumour_001", "tumour_002"]
    dataset.subjects[1].images[2].unlink()
    made.clear()
    layouts.make("demo_tumour", tmp_path / "demo", workers=1)
    assert made == ["tumour_001"]
    assert layouts.find("demo_tumour", tmp_path / "demo") == dataset


def test_tumours_have_two_high_grades_to_one_low_and_the_regions_of_brats(tmp_path: Path) -> None:
    dataset = layouts.find("demo_tumour", tmp_path)
    groups = [subject.group for subject in dataset.subjects]
    assert (groups.count("high_grade"), groups.count("low_grade")) == (20, 10)
    assert dataset.groups == ("high_grade", "low_grade")
    values = {c.name: c.labels for c in dataset.classes}
    regions = {
        region: {label for name in names for label in values[name]}
        for region, names in dataset.regions.items()
    }
    assert regions == {"WT": {1, 2, 4}, "TC": {1, 4}, "ET": {4}}
