import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

from tfrecords.errors import UserError
from tfrecords.reading.parsing import parse
from tfrecords.records.manifest import Manifest
from tfrecords.sources import layouts
from tfrecords.sources.subject import Dataset, LabelClass


def find(folder: Path, content: dict[str, Any], *files: str, unlabelled: bool = False) -> Dataset:
    """The dataset of a folder with this `dataset.json` and these (empty) files."""
    (folder / "dataset.json").write_text(json.dumps(content))
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).touch()
    return layouts.find("decathlon", folder, unlabelled=unlabelled)


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


@pytest.mark.parametrize(
    ("entries", "licence"),
    [
        ({"licence": "CC-BY-SA 4.0"}, "CC-BY-SA 4.0"),
        ({"license": "CC0"}, "CC0"),
        ({"licence": ["CC0"]}, ""),
        ({}, ""),
    ],
)
def test_the_licence_is_told_where_it_is_stated(
    entries: dict[str, Any], licence: str, tmp_path: Path
) -> None:
    cases = [{"image": "a.nii.gz", "label": "b.nii.gz"}]
    labels = {"0": "background", "1": "x"}
    content = {"modality": {"0": "T1"}, "labels": labels, "training": cases, **entries}
    assert find(tmp_path, content).licence == licence


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


@pytest.mark.parametrize(
    ("labels", "classes", "regions"),
    [
        ({"background": 0, "A": 1, "ignore": 2}, ["background", "A"], {}),
        ({"0": "background", "1": "A", "2": "ignore"}, ["background", "A"], {}),
        (
            {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3},
            ["background", "label_1", "label_2"],
            {"whole": ("label_1", "label_2"), "core": ("label_2",)},
        ),
    ],
)
def test_nnunets_label_ignore_is_no_class(
    tmp_path: Path, labels: dict[str, Any], classes: list[str], regions: dict[str, Any]
) -> None:
    dataset = find(tmp_path, {"channel_names": {"0": "T1"}, "labels": labels}, "labelsTr/a.nii.gz")
    assert [c.name for c in dataset.classes] == classes
    assert dataset.regions == regions
    assert dataset.ignored == (len(classes),)


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "A": 2, "ignore": 1},
        {"background": 0, "A": 1, "ignore": 1},
        {"background": 0, "whole": [1, 3], "ignore": 2},
        {"background": 0, "A": 1, "ignore": [2, 3]},
        {"background": 1, "ignore": 0},
    ],
)
def test_a_label_ignore_that_is_not_the_highest_value_is_refused(
    tmp_path: Path, labels: dict[str, Any]
) -> None:
    message = r"dataset\.json: labels: expected one value of 'ignore', higher than all others"
    with pytest.raises(UserError, match=message):
        find(tmp_path, {"channel_names": {"0": "T1"}, "labels": labels}, "labelsTr/a.nii.gz")


GOOD = {"modality": {"0": "T1"}, "labels": {"0": "background", "1": "a"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "Input should be a valid dictionary, received []"),
        ({"labels": GOOD["labels"]}, "channel_names (or modality): expected the modalities"),
        ({"modality": GOOD["modality"]}, "labels: Field required"),
        ({**GOOD, "training": [{"image": "a.nii.gz"}]}, "training.0.label: Field required"),
        ({**GOOD, "training": [3]}, "training.0: Input should be a valid dictionary, rec"),
        ({**GOOD, "labels": {"0": "background", "1": "a/b"}}, "classes and regions: expected a"),
        ({**GOOD, "labels": {"1": "a", "2": "b"}}, "value is 0, and at least one more, received a"),
        (
            {**GOOD, "training": [{"image": "../a/.nii.gz", "label": "a"}]},
            "subjects: expected a name",
        ),
        (
            {**GOOD, "dataset": {"../x": {"images": ["a"], "label": "b"}}},
            "subjects: expected a name",
        ),
        (
            {**GOOD, "dataset": {"x": {"images": ["a", "b"], "label": "c"}}},
            "images: expected 1, ",
        ),
        ({**GOOD, "dataset": {"x": {"images": ["a"], "label": "./a"}}}, "x: expected a file for"),
        ({**GOOD, "dataset": {"x": {"images": [], "label": "a"}}}, "dataset.x.images: List should"),
    ],
)
def test_a_json_of_another_kind_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UserError, match=rf"/dataset\.json: .*{re.escape(message)}") as error:
        find(tmp_path, content)
    assert "\n" not in str(error.value)


def test_a_folder_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.json: no such file; --dataset decathlon"):
        layouts.find("decathlon", tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(UserError, match=r"dataset\.json: expected JSON"):
        layouts.find("decathlon", tmp_path)
    for wrong in (None, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="data_dir: expected a folder"):
            layouts.find("decathlon", wrong)


LISTED = {**GOOD, "training": [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}]}
TEST_FILES = ("imagesTs/d.nii.gz", "imagesTs/c.nii.gz", "imagesTs/._c.nii.gz", "imagesTs/c.txt")


@pytest.mark.parametrize(
    ("test", "names"),
    [
        ({"test": ["./imagesTs/d.nii.gz", "imagesTs/lost.nii.gz"]}, ["d", "lost"]),
        ({"test": []}, ["c", "d"]),
        ({"test": None}, ["c", "d"]),
        ({}, ["c", "d"]),
    ],
)
def test_test_cases_have_no_label_map(
    tmp_path: Path, test: dict[str, Any], names: list[str]
) -> None:
    content = {**LISTED, **test}
    labelled, *others = find(tmp_path, content, *TEST_FILES, unlabelled=True).subjects
    assert [subject.name for subject in others] == names
    for name, subject in zip(names, others, strict=True):
        assert subject.images == subject.files == (tmp_path / "imagesTs" / f"{name}.nii.gz",)
    assert find(tmp_path, content).subjects == (labelled,)


def test_nnunet_numbers_the_modalities_of_test_cases_too(tmp_path: Path) -> None:
    content = {"channel_names": {"0": "T2", "1": "ADC"}, "labels": GOOD["labels"]}
    files = ["labelsTr/a.nii.gz", "imagesTs/._b_0000.nii.gz", "imagesTs/unnumbered.nii.gz"]
    files += [f"imagesTs/{name}.nii.gz" for name in ("c_1_0000", "c_1_0001", "b_0001")]
    labelled, *others = find(tmp_path, content, *files, unlabelled=True).subjects
    # Preprocessing reports the file that b lacks.
    assert {subject.name: [path.name for path in subject.files] for subject in others} == {
        "b": ["b_0000.nii.gz", "b_0001.nii.gz"],
        "c_1": ["c_1_0000.nii.gz", "c_1_0001.nii.gz"],
    }
    assert all(path.parent == tmp_path / "imagesTs" for s in others for path in s.files)
    assert find(tmp_path, content).subjects == (labelled,)


def test_test_cases_of_another_kind_are_refused(tmp_path: Path) -> None:
    content = {**LISTED, "test": [{"image": "imagesTs/d.nii.gz"}]}
    with pytest.raises(UserError, match=r"dataset\.json: test: expected the image of every"):
        find(tmp_path, content, unlabelled=True)
    assert len(find(tmp_path, content).subjects) == 1


@pytest.mark.parametrize(
    "case", [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}, "imagesTr/a.nii.gz"]
)
def test_lists_of_nnunets_first_version_leave_the_modalities_numbers_out(
    tmp_path: Path, case: Any
) -> None:
    content = {
        "modality": {"0": "T2", "1": "ADC"},
        "labels": GOOD["labels"],
        "training": [case],
        "test": ["./imagesTs/b.nii.gz", "./imagesTs/lost.nii.gz"],
    }
    images = ("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "imagesTs/b_0001.nii.gz")
    found = find(tmp_path, content, *images, "labelsTr/a.nii.gz", unlabelled=True).subjects
    assert [subject.name for subject in found] == ["a", "b", "lost"]
    assert found[0].images == tuple(tmp_path / image for image in images[:2])
    assert found[0].label == tmp_path / "labelsTr/a.nii.gz"
    # Preprocessing reports the files that these lack.
    assert [path.name for path in found[1].images] == ["b_0000.nii.gz", "b_0001.nii.gz"]
    assert [path.name for path in found[2].images] == ["lost.nii.gz"]


def test_test_cases_are_stored_as_volumes(
    tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    """As the decathlon's: two modalities in one 4D file."""
    random = np.random.default_rng(0)
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (tmp_path / folder).mkdir()
    images = {
        name: random.integers(1, 99, (5, 6, 4, 2)).astype(np.int16)
        for name in ("imagesTr/a", "imagesTr/b", "imagesTs/c")
    }
    labels = {
        f"labelsTr/{name}": np.eye(5, 6, dtype=np.uint8)[..., None] * np.ones(4) for name in "ab"
    }
    for name, array in {**images, **labels}.items():
        nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / f"{name}.nii.gz")
    content = {
        "modality": {"0": "T2", "1": "ADC"},
        "labels": GOOD["labels"],
        "training": [
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
            for name in "ab"
        ],
        "test": ["./imagesTs/c.nii.gz"],
    }
    dataset = find(tmp_path, content, unlabelled=True)
    manifest = preprocess_here(dataset, tmp_path / "records")
    assert manifest.folds == ("0", "1")
    assert manifest.class_voxels == (2 * 25 * 4, 2 * 5 * 4)
    (shard,) = manifest.unlabelled
    (record,) = tf.data.TFRecordDataset(str(tmp_path / "records" / shard.file))
    parsed = parse(record, "int16", 3, 2)
    assert parsed.subject == b"c"
    np.testing.assert_array_equal(parsed.image, images["imagesTs/c"].transpose(2, 1, 0, 3))
    np.testing.assert_array_equal(parsed.label, np.zeros((4, 6, 5)))


def test_names_keep_their_dots(tmp_path: Path) -> None:
    """As those of DICOM series do."""
    images = ("1.3.6.nii.gz", "1.3.7.nii", "a.b.mha")
    cases = [{"image": f"imagesTr/{name}", "label": f"labelsTr/{name}"} for name in images]
    subjects = find(tmp_path, {**GOOD, "training": cases}).subjects
    assert [subject.name for subject in subjects] == ["1.3.6", "1.3.7", "a.b"]


def test_cases_may_lie_elsewhere_as_nnunet_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LABELS", str(tmp_path / "labels"))
    cases = {
        "b": {"images": ["../x/b_t1.nii.gz", "/data/b.nii.gz"], "label": "$LABELS/b.nii.gz"},
        "a.1": {"images": ["imagesTr/a_4d.nii.gz"], "label": "a.nii.gz"},
    }
    content = {"channel_names": {"0": "T1", "1": "T2"}, "labels": GOOD["labels"], "dataset": cases}
    files = ("imagesTr/a_4d.nii.gz", "imagesTs/d_0000.nii.gz", "labelsTr/c.nii.gz")
    first, second, *others = find(tmp_path, content, *files, unlabelled=True).subjects
    assert (first.name, second.name) == ("b", "a.1")
    assert first.images == (tmp_path / "../x/b_t1.nii.gz", Path("/data/b.nii.gz"))
    assert first.label == tmp_path / "labels" / "b.nii.gz"
    assert second.images == (tmp_path / "imagesTr/a_4d.nii.gz",)
    assert [(subject.name, subject.label) for subject in others] == [("d", None)]
    (told,) = caplog.messages
    assert told.startswith(f"{tmp_path / 'labelsTr'}: 1 files are left out, which ")
    assert ": c.nii.gz. List them" in told


NUMBERED = {"channel_names": {"0": "T2"}, "labels": GOOD["labels"]}


def test_modalities_without_a_name_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = ("labelsTr/a.nii.gz", "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz")
    (subject,) = find(tmp_path, NUMBERED, *files, "imagesTr/b_0000.nii.gz").subjects
    assert subject.images == (tmp_path / files[1],)
    assert caplog.messages[0] == (
        f"{tmp_path / 'imagesTr'}: 1 files are left out, whose names are of no case and modality "
        "of dataset.json: a_0001.nii.gz. Number their modalities in its channel_names to take them"
    )


def test_images_without_a_label_map_are_told_or_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = ["labelsTr/a.nii.gz", "labelsTr/b.nii.gz", "imagesTr/a_0000.nii.gz"]
    files += [f"imagesTr/c{number}_0000.nii.gz" for number in range(7)]
    assert [s.name for s in find(tmp_path, NUMBERED, *files).subjects] == ["a", "b"]
    assert caplog.messages == [
        f"{tmp_path / 'imagesTr'}: 7 cases are left out, which have no label map in "
        f"{tmp_path / 'labelsTr'}: c0, c1, c2, c3, c4 and 2 more. Give --unlabelled to take them "
        "without"
    ]
    caplog.clear()
    _, _, *others = find(tmp_path, NUMBERED, "imagesTs/d_0000.nii.gz", unlabelled=True).subjects
    assert [s.name for s in others] == [*(f"c{number}" for number in range(7)), "d"]
    assert others[0].files == (tmp_path / "imagesTr" / "c0_0000.nii.gz",)
    assert caplog.messages == []


def test_files_that_are_not_listed_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    find(tmp_path, LISTED, "imagesTr/a.nii.gz", "labelsTr/a.nii.gz", "imagesTr/._x.nii.gz")
    assert caplog.messages == []
    find(tmp_path, LISTED, "imagesTr/b.nii.gz", "labelsTr/c.nii.gz", "imagesTr/b.txt")
    assert [message.split(". ")[0] for message in caplog.messages] == [
        f"{tmp_path / place}: 1 files are left out, which dataset.json does not list: {name}.nii.gz"
        for place, name in (("imagesTr", "b"), ("labelsTr", "c"))
    ]


@pytest.mark.parametrize("content", [LISTED, NUMBERED])
def test_another_number_of_training_cases_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: dict[str, Any]
) -> None:
    find(tmp_path, {**content, "numTraining": 1}, "labelsTr/a.nii.gz")
    assert caplog.messages == []
    find(tmp_path, {**content, "numTraining": 24})
    assert caplog.messages == [
        f"{tmp_path / 'dataset.json'}: numTraining is 24, but there are 1 training cases"
    ]


def test_layouts_without_such_subjects_are_refused_with_those_that_have_them() -> None:
    message = "^unlabelled: expected --dataset bids or decathlon or table, received mrbrains13$"
    with pytest.raises(UserError, match=message):
        layouts.find("mrbrains13", None, unlabelled=True)


def test_no_cases_are_refused(tmp_path: Path) -> None:
    for content in (GOOD, {**GOOD, "training": []}):
        with pytest.raises(
            UserError, match=r"expected subjects of --dataset decathlon, found none"
        ):
            find(tmp_path, content)


def test_unknown_layouts_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    assert {"decathlon", "demo_tissue", "demo_tumour", "table"} <= set(layouts.names())
    with pytest.raises(UserError, match=r"expected one of .*decathlon, .* received other"):
        layouts.find("other", tmp_path)
