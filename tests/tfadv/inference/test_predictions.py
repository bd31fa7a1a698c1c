"""Label maps in a folder: which are kept, which are refused, and what is never written over."""

import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfadv.inference.predictions import Origin, Predictions
from tfrecords.errors import SettingError, UserError
from tfrecords.files import file_checksum
from tfrecords.sources.subject import Subject

SHAPE = (3, 4, 5)


@pytest.fixture
def subjects(tmp_path: Path) -> list[Subject]:
    """Two, with an image each."""
    (tmp_path / "images").mkdir()
    made = []
    for number, name in enumerate("ab"):
        path = tmp_path / "images" / f"{name}.nii.gz"
        nib.Nifti1Image(np.full(SHAPE, number, np.uint8), np.eye(4)).to_filename(path)
        made.append(Subject(name, (path,), None))
    return made


def begun(
    folder: Path,
    subjects: list[Subject],
    *,
    model: str = "m",
    resample: bool = False,
    probabilities: bool = False,
    overwrite: bool = False,
) -> tuple[Predictions, list[str]]:
    folder.mkdir(exist_ok=True)
    predictions = Predictions(folder, Origin(model, resample), probabilities=probabilities)
    predictions.require_own_files(subjects, [path for one in subjects for path in one.images])
    missing = predictions.begin(subjects, overwrite=overwrite)
    return predictions, [subject.name for subject in missing]


def write(predictions: Predictions, subject: Subject) -> None:
    (image,) = subject.images
    label = np.ones(SHAPE, np.uint8)
    maps = np.ones((*SHAPE, 2), np.float32) if predictions.probabilities else None
    predictions.write(subject.name, (file_checksum(image),), image, label, maps, np.zeros(1))


def test_what_is_finished_is_kept(subjects: list[Subject], tmp_path: Path) -> None:
    predictions, missing = begun(tmp_path / "out", subjects)
    assert missing == ["a", "b"]
    write(predictions, subjects[0])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.nii.gz",
        "predictions.json",
    ]
    assert begun(tmp_path / "out", subjects)[1] == ["b"]
    assert begun(tmp_path / "out", subjects, probabilities=True)[1] == ["a", "b"]
    predictions, missing = begun(tmp_path / "out", subjects, overwrite=True)
    assert missing == ["a", "b"]
    write(predictions, subjects[1])  # Then a kill.
    assert begun(tmp_path / "out", subjects)[1] == ["a"]


def test_probabilities_are_kept_where_they_are(subjects: list[Subject], tmp_path: Path) -> None:
    predictions, _ = begun(tmp_path / "out", subjects, probabilities=True)
    write(predictions, subjects[0])
    assert (tmp_path / "out" / "a_probabilities.nii.gz").is_file()
    assert begun(tmp_path / "out", subjects, probabilities=True)[1] == ["b"]
    assert begun(tmp_path / "out", subjects)[1] == ["b"]
    (tmp_path / "out" / "a.nii.gz").unlink()  # As after a kill between the two.
    assert begun(tmp_path / "out", subjects, probabilities=True)[1] == ["a", "b"]


def test_a_kill_between_the_note_and_the_label_map_costs_nothing(
    subjects: list[Subject], tmp_path: Path
) -> None:
    predictions, _ = begun(tmp_path / "out", subjects)
    write(predictions, subjects[0])
    (tmp_path / "out" / "a.nii.gz").unlink()
    assert begun(tmp_path / "out", subjects)[1] == ["a", "b"]


@pytest.mark.parametrize("other", [{"model": "n"}, {"resample": True}])
def test_label_maps_of_another_model_are_not_taken_for_this_ones(
    other: dict[str, object], subjects: list[Subject], tmp_path: Path
) -> None:
    predictions, _ = begun(tmp_path / "out", subjects)
    write(predictions, subjects[0])
    before = (tmp_path / "out" / "a.nii.gz").read_bytes()
    with pytest.raises(SettingError, match=r"output: .*predictions.json: expected .*--overwrite"):
        begun(tmp_path / "out", subjects, **other)  # type: ignore[arg-type]
    assert (tmp_path / "out" / "a.nii.gz").read_bytes() == before
    assert begun(tmp_path / "out", subjects, overwrite=True, **other)[1] == ["a", "b"]  # type: ignore[arg-type]
    assert not (tmp_path / "out" / "a.nii.gz").exists()


def test_of_other_subjects_the_note_is_kept(subjects: list[Subject], tmp_path: Path) -> None:
    predictions, _ = begun(tmp_path / "out", subjects)
    write(predictions, subjects[0])
    predictions, _ = begun(tmp_path / "out", subjects[1:], overwrite=True)
    write(predictions, subjects[1])
    assert begun(tmp_path / "out", subjects)[1] == []


def test_label_maps_of_unknown_origin_are_refused(subjects: list[Subject], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.nii.gz").write_text("precious")
    with pytest.raises(
        SettingError, match=r"output: .* ones of unknown origin: b\. Choose another"
    ):
        begun(tmp_path / "out", subjects)
    assert (tmp_path / "out" / "b.nii.gz").read_text() == "precious"


def test_label_maps_of_other_images_are_refused(subjects: list[Subject], tmp_path: Path) -> None:
    predictions, _ = begun(tmp_path / "out", subjects)
    write(predictions, subjects[0])
    (image,) = subjects[0].images
    nib.Nifti1Image(np.full(SHAPE, 7, np.uint8), np.eye(4)).to_filename(image)
    with pytest.raises(SettingError, match=rf"out/a.nii.gz: expected the label map of {image}, "):
        begun(tmp_path / "out", subjects)
    image.unlink()  # Then it is the subject that fails.
    assert begun(tmp_path / "out", subjects)[1] == ["a", "b"]


def test_an_edited_note_is_refused(subjects: list[Subject], tmp_path: Path) -> None:
    predictions, _ = begun(tmp_path / "out", subjects)
    write(predictions, subjects[0])
    note = tmp_path / "out" / "predictions.json"
    note.write_text(note.read_text().replace('"m"', '"n"'))
    with pytest.raises(
        UserError, match=r"the file was edited or damaged\. Choose another --output"
    ):
        begun(tmp_path / "out", subjects, model="n")


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_an_image_is_never_written_over(
    link: Callable[[Path, Path], None], subjects: list[Subject], tmp_path: Path
) -> None:
    """By another name neither, and not one that is no subject's."""
    (tmp_path / "out").mkdir()
    link(subjects[1].images[0], tmp_path / "out" / "b.nii.gz")
    with pytest.raises(SettingError, match=r"expected files that are none of the images"):
        begun(tmp_path / "out", subjects, overwrite=True)
    predictions = Predictions(tmp_path / "out", Origin("m", False), probabilities=False)
    others = [Subject("b", subjects[0].images, None)]
    with pytest.raises(SettingError, match=r"expected files that are none of the images"):
        predictions.require_own_files(others, [subjects[1].images[0]])
    assert (tmp_path / "out" / "b.nii.gz").exists()


def test_label_maps_are_not_put_beside_images(subjects: list[Subject], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    linked = tmp_path / "elsewhere" / "c.nii.gz"
    linked.symlink_to(subjects[0].images[0])
    for folder in (tmp_path / "images", tmp_path / "elsewhere" / ".." / "images"):
        for one in (subjects[0], Subject("c", (linked,), None)):
            with pytest.raises(SettingError, match=r"output: expected a folder without images"):
                begun(folder, [one])


def test_two_subjects_never_have_one_file(subjects: list[Subject], tmp_path: Path) -> None:
    for name in ("A", "a_probabilities"):
        clashing = [*subjects, Subject(name, subjects[1].images, None)]
        with pytest.raises(SettingError, match=r"images: .* received several for a"):
            begun(tmp_path / "out", clashing)
