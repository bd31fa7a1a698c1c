from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.sources.subject import (
    IGNORED,
    Dataset,
    LabelClass,
    Subject,
    class_indices,
    require_dir,
    require_groups,
    select_modalities,
)

SEVERAL = Subject("several", (Path("t1.nii"), Path("t2.nii"), Path("adc.nii")), Path("l.nii"))
SINGLE = Subject("single", (Path("all.nii"),), Path("l.nii"))
DATASET = Dataset("table", ("t1", "t2", "adc"), (), (SEVERAL, SINGLE))


def test_source_labels_become_class_indices() -> None:
    classes = (LabelClass("none", (0,)), LabelClass("grey", (4, 200)), LabelClass("white", (1,)))
    label = np.array([[0, 1], [4, 200]], np.int64)
    indices = class_indices(label, classes)
    assert indices.dtype == np.uint8
    assert indices.tolist() == [[0, 2], [1, 1]]
    assert class_indices(label, classes[:2], ignored=(1,)).tolist() == [[0, IGNORED], [1, 1]]


def test_a_missing_folder_is_refused_with_the_flags(tmp_path: Path) -> None:
    assert require_dir(tmp_path, "decathlon") == tmp_path
    for wrong in (None, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="data_dir: expected a folder for --dataset decathlon"):
            require_dir(wrong, "decathlon")


@pytest.mark.parametrize(
    ("names", "images", "channels"),
    [
        (["adc", "t1"], ("adc.nii", "t1.nii"), (1, -1, 0)),
        (["t2"], ("t2.nii",), (-1, 0, -1)),
        (["t1", "t2", "adc"], ("t1.nii", "t2.nii", "adc.nii"), (0, 1, 2)),
    ],
)
def test_modalities_are_selected_as_files_or_as_channels(
    names: list[str], images: tuple[str, ...], channels: tuple[int, ...]
) -> None:
    selected = select_modalities(DATASET, names)
    several, single = selected.subjects
    assert selected.modalities == tuple(names)
    assert several.files == (*map(Path, images), Path("l.nii"))
    assert several.channels == ()
    assert (single.files, single.channels) == (SINGLE.files, channels)


def test_a_subject_without_a_label_map_has_images_alone() -> None:
    subject = Subject("unlabelled", (Path("t1.nii"), Path("t2.nii"), Path("adc.nii")), None)
    (selected,) = select_modalities(replace(DATASET, subjects=(subject,)), ["adc"]).subjects
    assert subject.files == subject.images
    assert selected.files == (Path("adc.nii"),)


def test_groups_that_the_dataset_lacks_are_refused() -> None:
    dataset = replace(DATASET, groups=("high", "low"))
    for names in ([], ["low"], ["low", "high"]):
        require_groups(dataset, names)
    with pytest.raises(UserError) as error:
        require_groups(dataset, ["low", "all"])
    assert str(error.value) == (
        "training_only: expected some of the groups high,low of --dataset table, received low,all"
    )


@pytest.mark.parametrize("names", [[], ["t1", "T2"], ["t1", "t1"]])
def test_modalities_that_the_dataset_lacks_or_that_repeat_are_refused(names: list[str]) -> None:
    with pytest.raises(UserError) as error:
        select_modalities(DATASET, names)
    assert str(error.value) == (
        "modalities: expected some of t1,t2,adc, each once, for --dataset table, received "
        f"{','.join(names)}"
    )
