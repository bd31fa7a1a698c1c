import json
from pathlib import Path
from typing import Any

import pytest

from tfrecords import datasets
from tfrecords.errors import UserError
from tfrecords.subject import Dataset, LabelClass


def find(folder: Path, content: dict[str, Any], *files: str) -> Dataset:
    """The dataset of a folder with this `dataset.json` and these (empty) files."""
    (folder / "dataset.json").write_text(json.dumps(content))
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).touch()
    return datasets.find("decathlon", folder)


def test_decathlon_lists_its_cases(tmp_path: Path) -> None:
    """The decathlon's brain tumours: four modalities in one 4D file."""
    dataset = find(
        tmp_path,
        {
            "modality": {"0": "FLAIR", "1": "T1w", "3": "T2w", "2": "t1gd"},
            "labels": {"0": "background", "2": "non-enhancing tumor", "1": "edema"},
            "training": [
                {"image": "./imagesTr/BRATS_457.nii.gz", "label": "./labelsTr/BRATS_457.nii.gz"},
                {"image": "./imagesTr/BRATS_306.nii.gz", "label": "./labelsTr/BRATS_306.nii.gz"},
            ],
            "test": ["./imagesTs/BRATS_575.nii.gz"],
        },
    )
    assert dataset.modalities == ("FLAIR", "T1w", "t1gd", "T2w")
    assert dataset.classes == (
        LabelClass("background", (0,)),
        LabelClass("edema", (1,)),
        LabelClass("non-enhancing tumor", (2,)),
    )
    assert dataset.regions == {}
    assert [s.name for s in dataset.subjects] == ["BRATS_457", "BRATS_306"]
    assert dataset.subjects[0].images == (tmp_path / "imagesTr" / "BRATS_457.nii.gz",)
    assert dataset.subjects[0].label == tmp_path / "labelsTr" / "BRATS_457.nii.gz"


def test_nnunet_numbers_its_modalities(tmp_path: Path) -> None:
    dataset = find(
        tmp_path,
        {
            "channel_names": {"0": "T2", "1": "ADC"},
            "labels": {"background": 0, "PZ": 1, "TZ": 2},
            "numTraining": 2,
            "file_ending": ".nrrd",
        },
        "labelsTr/prostate_03.nrrd",
        "labelsTr/prostate_00.nrrd",
        "labelsTr/._prostate_00.nrrd",
        "labelsTr/readme.txt",
    )
    assert dataset.modalities == ("T2", "ADC")
    assert [c.name for c in dataset.classes] == ["background", "PZ", "TZ"]
    assert [s.name for s in dataset.subjects] == ["prostate_00", "prostate_03"]
    images = tmp_path / "imagesTr"
    assert dataset.subjects[1].images == (
        images / "prostate_03_0000.nrrd",
        images / "prostate_03_0001.nrrd",
    )


def test_nnunet_regions_are_unions_of_classes(tmp_path: Path) -> None:
    """BraTS as nnU-Net's documentation has it."""
    dataset = find(
        tmp_path,
        {
            "channel_names": {"0": "T1"},
            "labels": {
                "background": 0,
                "whole tumor": [1, 2, 3],
                "tumor core": [2, 3],
                "enhancing tumor": 3,
            },
            "regions_class_order": [1, 2, 3],
        },
        "labelsTr/a.nii.gz",
    )
    assert dataset.classes == (
        LabelClass("background", (0,)),
        LabelClass("label_1", (1,)),
        LabelClass("label_2", (2,)),
        LabelClass("label_3", (3,)),
    )
    assert dataset.regions == {
        "whole tumor": ("label_1", "label_2", "label_3"),
        "tumor core": ("label_2", "label_3"),
        "enhancing tumor": ("label_3",),
    }


GOOD = {"modality": {"0": "T1"}, "labels": {"0": "background", "1": "a"}}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"labels": GOOD["labels"]},
        {"modality": GOOD["modality"]},
        {**GOOD, "modality": ["T1"]},
        {**GOOD, "modality": {"first": "T1"}},
        {**GOOD, "labels": ["background", "a"]},
        {**GOOD, "labels": {"background": 0, "a": "one"}},
        {**GOOD, "labels": {"background": 0, "a": 300}},
        {**GOOD, "training": [{"image": "a.nii.gz"}]},
        {**GOOD, "training": ["a.nii.gz"]},
    ],
)
def test_a_json_of_another_kind_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match=r"dataset\.json: expected JSON with modality"):
        find(tmp_path, content)


def test_a_folder_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.json: no such file; --dataset decathlon"):
        datasets.find("decathlon", tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(UserError, match=r"dataset\.json: expected JSON"):
        datasets.find("decathlon", tmp_path)
    for wrong in (None, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="--data_dir: expected a folder"):
            datasets.find("decathlon", wrong)


def test_no_cases_are_refused(tmp_path: Path) -> None:
    for content in (GOOD, {**GOOD, "training": []}):
        with pytest.raises(
            UserError, match=r"expected subjects of --dataset decathlon, found none"
        ):
            find(tmp_path, content)


def test_unknown_layouts_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    assert {"decathlon", "demo_tissue", "demo_tumour", "table"} <= set(datasets.names())
    with pytest.raises(UserError, match=r"expected one of .*decathlon, .* received other"):
        datasets.find("other", tmp_path)
