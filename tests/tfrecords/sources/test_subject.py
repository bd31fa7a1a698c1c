from dataclasses import replace
from pathlib import Path
from typing import Any

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
SINGLE = Subject("single", (Path("all.nii"),), Path("l1.nii"))
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
    dataset = replace(DATASET, groups=("high", "low"), subjects=())
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


BACKGROUND, TUMOUR, OEDEMA = (
    LabelClass(name, (value,)) for value, name in enumerate(("background", "tumour", "oedema"))
)
CLASSES = (BACKGROUND, TUMOUR, OEDEMA)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modalities": ("t1", "T1")}, "modalities: expected names that differ .*received t1, T1$"),
        ({"modalities": ("",)}, "modalities: expected a name"),
        ({"modalities": ("t1,t2",)}, "modalities: expected a name"),  # See --modalities.
        ({"classes": (BACKGROUND,)}, r"classes: .*at least one more, received background \(0\)$"),
        ({"classes": (TUMOUR, OEDEMA)}, r"the background, .*received tumour \(1\), oedema \(2\)$"),
        ({"classes": (TUMOUR, BACKGROUND)}, "the background, whose label value is 0, "),
        ({"classes": (BACKGROUND, LabelClass("a", ()))}, "a label value of a, received none$"),
        ({"classes": (BACKGROUND, LabelClass("a", (1.5,)))}, "whole numbers .*received 1.5$"),
        ({"classes": (BACKGROUND, LabelClass("a", (256,)))}, "from 0 to 255, received 256$"),
        ({"classes": (BACKGROUND, LabelClass("a", (-1,)))}, "from 0 to 255, received -1$"),
        ({"classes": (*CLASSES, LabelClass("a", (2,)))}, "received 2 of oedema and a$"),
        ({"classes": (*CLASSES, LabelClass("Tumour", (3,)))}, "received tumour, Tumour$"),
        ({"classes": (*CLASSES, LabelClass("mean", (3,)))}, "from mean, which .*received mean$"),
        ({"classes": (*CLASSES, LabelClass(" ", (3,)))}, "classes and regions: .*received ' '$"),
        ({"classes": (*CLASSES, LabelClass("a/b", (3,)))}, "classes and regions: .*'a/b'$"),
        ({"classes": (*CLASSES, LabelClass("dice:b", (3,)))}, "classes and regions: .*'dice:b'$"),
        ({"classes": (*CLASSES, LabelClass(3, (3,)))}, "classes and regions: .*received 3$"),
        ({"regions": {"tumour": ("tumour",)}}, "received tumour, tumour$"),
        ({"regions": {"mean": ("tumour",)}}, "received mean$"),
        ({"regions": {"": ("tumour",)}}, "received ''$"),
        ({"regions": {"WT": ("tumour", "bone")}}, "regions: WT: .*received tumour, bone$"),
        ({"regions": {"WT": ("background", "tumour")}}, "regions: WT: expected .* tumour, oedema"),
        ({"regions": {"WT": ("tumour", "tumour")}}, "each once, received tumour, tumour$"),
        ({"regions": {"WT": ()}}, "received none$"),
        ({"groups": ("all", "All")}, "groups: expected names that differ"),
        ({"groups": ("all", "a,b")}, "groups: expected a name"),  # See --training_only.
        ({"favoured": ("all", "b")}, "favoured: expected some of all, background, .*, received b$"),
        ({"groups": ("high",)}, "groups: several: expected one of high, received all$"),
        ({"subjects": (replace(SINGLE, name="../../x"),)}, "subjects: expected a name"),
        ({"subjects": (replace(SINGLE, fold="/x"),)}, "folds: single: expected a name"),
        (
            {"subjects": (SINGLE, replace(SINGLE, name="other", images=(Path("other.nii"),)))},
            "subjects: expected files of one subject each, received .* both single and other$",
        ),
        (
            {"subjects": (replace(SINGLE, label=Path("x/../all.nii")),)},
            "subjects: single: expected a file for each .*/all.nii several times$",
        ),
    ],
)
def test_what_does_not_fit_together_is_no_dataset(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        replace(DATASET, **{"classes": CLASSES, **changes})
    assert "\n" not in str(error.value)


def test_what_fits_together_is_a_dataset() -> None:
    regions = {"WT": ("tumour", "oedema"), "TC": ("tumour",)}
    united = (LabelClass("rest", (0, 7)), *CLASSES[1:])
    assert replace(DATASET, classes=united, regions=regions).regions == regions
