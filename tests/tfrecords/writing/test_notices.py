"""What is told of subjects that stand out."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.records.manifest import Manifest

Preprocess = Callable[..., Manifest]


@pytest.fixture
def data(small_dataset: Callable[..., Any], tmp_path: Path) -> Any:
    return small_dataset(tmp_path / "data")


@pytest.fixture
def told(
    data: Any, tmp_path: Path, preprocess_here: Preprocess, caplog: pytest.LogCaptureFixture
) -> Callable[..., list[str]]:
    """Preprocesses and gives the warnings."""

    def run(**options: Any) -> list[str]:
        caplog.clear()
        preprocess_here(data.find(), tmp_path / "records", **options)
        return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]

    return run


def edit(data: Any, subject: str, column: str, **changes: Any) -> None:
    """Takes label values for others, or the spacing along z (mm) for another."""
    path = data.path(subject, column)
    image = nib.Nifti1Image.from_filename(path)
    array, affine = np.asarray(image.dataobj).copy(), image.affine.copy()
    for old, new in changes.get("values", {}).items():
        array[array == old] = new
    affine[2, 2] = changes.get("z_mm", affine[2, 2])
    nib.Nifti1Image(array, affine).to_filename(path)


def test_nothing_is_told_where_nothing_stands_out(told: Callable[..., list[str]]) -> None:
    assert told() == []


def test_a_class_of_one_subject_alone(data: Any, told: Callable[..., list[str]]) -> None:
    edit(data, "s2", "label", values={2: 7})
    assert told() == ["only s2 has class label_7 (value 7)"]
    edit(data, "s3", "label", values={2: 7})
    assert told() == []


def test_many_classes_of_one_subject_each_take_a_few_lines(
    data: Any, told: Callable[..., list[str]]
) -> None:
    for number in range(6):
        edit(data, f"s{number}", "label", values={1: 10 + number})
    *lines, last = told()
    assert lines == [f"only s{n} has class label_{10 + n} (value {10 + n})" for n in range(5)]
    assert last == "and so it is with 1 more classes"


@pytest.mark.parametrize("masks", [["s1"], ["s1", "s2", "s4"]])
def test_masks_of_0_and_255_among_others(
    data: Any, told: Callable[..., list[str]], masks: list[str]
) -> None:
    for number in range(6):
        value = 255 if f"s{number}" in masks else 1
        edit(data, f"s{number}", "label", values={1: value, 2: value})
    *alone, last = told()
    assert alone == (["only s1 has class label_255 (value 255)"] if len(masks) == 1 else [])
    assert last == (
        f"the label maps of {len(masks)} of 6 subjects hold 0 and 255 alone, while others hold "
        f"other values: {', '.join(masks)}. If 255 means 1 there, write it so"
    )


def test_masks_of_0_and_255_throughout_are_a_class(
    data: Any, told: Callable[..., list[str]]
) -> None:
    for number in range(6):
        edit(data, f"s{number}", "label", values={1: 255, 2: 255})
    edit(data, "s5", "label", values={255: 0})  # Empty.
    assert told() == []


def test_spacings_that_stand_out(data: Any, told: Callable[..., list[str]]) -> None:
    for column in ("t1", "t2", "label"):
        edit(data, "s1", column, z_mm=2.41)
        edit(data, "s4", column, z_mm=1.5)
        edit(data, "s5", column, z_mm=2.39)
    assert told() == [
        "the spacing of 2 of 6 subjects differs by more than 20 % from the median, 1 x 1 x 2 mm: "
        "s1 (1 x 1 x 2.41), s4 (1 x 1 x 1.5). Networks see voxels: give --spacing=1,1,2 to "
        "resample all"
    ]
    assert told(spacing_mm=(1, 1, 2)) == []
    assert told(spacing_mm=(0, 0, 3)) == []
    assert "--spacing=2,1,2 to" in told(orientation="SAR", spacing_mm=(0, 0, 2))[0]


def test_copies_for_another_modality(data: Any, told: Callable[..., list[str]]) -> None:
    shutil.copy(data.path("s3", "t1"), data.path("s3", "t2"))
    assert told() == ["1 of 6 subjects have the same content in several modalities: s3"]


def test_label_maps_without_any_foreground_are_refused(
    data: Any, told: Callable[..., list[str]]
) -> None:
    for number in range(6):
        edit(data, f"s{number}", "label", values={1: 0, 2: 0})
    with pytest.raises(UserError, match=r"label maps: expected a value besides 0, .* none$"):
        told()
