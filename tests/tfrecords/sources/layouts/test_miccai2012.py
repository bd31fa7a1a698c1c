import csv
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.records.manifest import Manifest
from tfrecords.sources import layouts
from tfrecords.writing.scan import scan

TRAINING = [
    *(1000, 1001, 1002, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1017, 1036)
]
TESTING = [
    *(1003, 1004, 1005, 1018, 1019, 1023, 1024, 1025, 1038, 1039),
    *(1101, 1104, 1107, 1110, 1113, 1116, 1119, 1122, 1125, 1128),
]
OWN = ("{part}-images/{number}_3.nii.gz", "{part}-labels/{number}_3_glm.nii.gz")
STRIPPED = ("{part}/{number}_SS.nii.gz", "{part}/{number}_glm.nii.gz")
LAYOUTS = [OWN, STRIPPED]
# Voxels of a label map of 6 x 7 x 5 by structure, and what becomes of its 210.
STRUCTURES = (
    {44: 5, 45: 6}
    | {100: 1, 143: 2, 207: 4}
    | {23: 1, 30: 2, 36: 1, 55: 3, 57: 4, 60: 2}
    | {38: 4, 41: 5, 73: 3}
    | {35: 7}
    | {49: 1, 51: 2}
    | {4: 3, 15: 1, 32: 2, 46: 5, 47: 9, 61: 2, 66: 1, 69: 1, 74: 1, 110: 1}
)
VOXELS = {"WM": 11, "cGM": 7, "BGT": 13, "CB": 12, "BS": 7, "lvCSF": 3, "background": 157}


def paths(folder: Path, number: int, layout: tuple[str, str], part: str = "") -> tuple[Path, Path]:
    part = part or ("training" if number in TRAINING else "testing")
    image, label = (folder / pattern.format(part=part, number=number) for pattern in layout)
    return image, label


def write(folder: Path, number: int, layout: tuple[str, str], part: str = "") -> tuple[Path, Path]:
    """A small subject, stored from right to left as the challenge's are."""
    image, label = paths(folder, number, layout, part)
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-1.0, 1, 1, 1])
    structures = np.zeros(210, np.int16)
    structures[: sum(STRUCTURES.values())] = np.repeat([*STRUCTURES], [*STRUCTURES.values()])
    intensities = np.random.default_rng(number).integers(1, 4000, (6, 7, 5)).astype(np.int16)
    nib.Nifti1Image(intensities, affine).to_filename(image)
    nib.Nifti1Image(structures.reshape(6, 7, 5), affine).to_filename(label)
    return image, label


def touch(folder: Path, number: int, layout: tuple[str, str], part: str = "") -> None:
    for path in paths(folder, number, layout, part):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize("layout", LAYOUTS, ids=["own", "stripped"])
def test_a_partial_download_becomes_a_record_set_in_the_papers_classes(
    tmp_path: Path, preprocess_here: Callable[..., Manifest], layout: tuple[str, str]
) -> None:
    for number in [*TRAINING, 1101, 1039]:
        write(tmp_path / "data", number, layout)
    (tmp_path / "data" / "label_information.csv").touch()
    image, _ = paths(tmp_path / "data", 1000, layout)
    image.with_name(f"._{image.name}").touch()
    image.with_name("readme_1000.nii.gz").touch()
    manifest = preprocess_here(layouts.find("miccai2012", tmp_path / "data"), tmp_path / "records")
    assert manifest.modalities == ("t1",)
    assert [c.name for c in manifest.classes] == [
        *("background", "WM", "cGM", "BGT", "CB", "BS", "lvCSF")
    ]
    voxels = {c.name: n for c, n in zip(manifest.classes, manifest.class_voxels, strict=True)}
    assert voxels == {name: 17 * each for name, each in VOXELS.items()}
    folds = {subject.name: subject.fold for subject in manifest.subjects}
    training = [str(number) for number in TRAINING]
    assert folds == {**{n: n for n in training}, "1039": "testing", "1101": "testing"}
    # By default the last fold tests, and the one before validates.
    assert manifest.folds[-2:] == ("1036", "testing")


@pytest.mark.parametrize("layout", LAYOUTS, ids=["own", "stripped"])
def test_all_subjects_are_found_by_their_numbers(tmp_path: Path, layout: tuple[str, str]) -> None:
    for number in TRAINING + TESTING:
        touch(tmp_path, number, layout)
    dataset = layouts.find("miccai2012", tmp_path)
    assert len(dataset.subjects) == 35
    for subject in dataset.subjects:
        image, label = paths(tmp_path, int(subject.name), layout)
        assert subject.files == (image, label)
        assert image.is_file()
        assert label.is_file()
    testing = [int(s.name) for s in dataset.subjects if s.fold == "testing"]
    assert testing == TESTING


def test_the_number_tells_the_role_and_not_the_folder(tmp_path: Path) -> None:
    touch(tmp_path, 1104, STRIPPED, "training")
    touch(tmp_path, 1000, STRIPPED, "testing")
    subjects = {s.name: s for s in layouts.find("miccai2012", tmp_path).subjects}
    assert subjects["1104"].fold == "testing"
    assert subjects["1104"].label == tmp_path / "training" / "1104_glm.nii.gz"
    assert subjects["1000"].fold == "1000"
    assert subjects["1000"].images == (tmp_path / "testing" / "1000_SS.nii.gz",)
    assert len(subjects) == 16


def test_a_subject_in_both_folders_is_refused(
    tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    for number in TRAINING:
        write(tmp_path, number, STRIPPED)
    write(tmp_path, 1000, STRIPPED, "testing")
    with pytest.raises(UserError, match=r"testing/1000_SS\.nii\.gz: duplicate subject"):
        preprocess_here(layouts.find("miccai2012", tmp_path), tmp_path / "records")


@pytest.mark.parametrize("layout", LAYOUTS, ids=["own", "stripped"])
def test_missing_files_are_named_and_their_subjects_left_out_on_request(
    tmp_path: Path, preprocess_here: Callable[..., Manifest], layout: tuple[str, str]
) -> None:
    for number in [*TRAINING, 1101, 1104]:
        write(tmp_path, number, layout)
    gone = [paths(tmp_path, 1101, layout)[0], paths(tmp_path, 1104, layout)[1]]
    gone += paths(tmp_path, 1013, layout)
    for path in gone:
        path.unlink()
    dataset = layouts.find("miccai2012", tmp_path)
    with pytest.raises(UserError, match="3 of 17 subjects are not valid") as error:
        preprocess_here(dataset, tmp_path / "records")
    for path in gone:
        assert f"{path}: no such file" in str(error.value)
    manifest = preprocess_here(dataset, tmp_path / "records", skip_invalid=True)
    assert len(manifest.subjects) == 14
    assert set(manifest.skipped) == {"1013", "1101", "1104"}


def test_numbers_that_the_challenge_lacks_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, 1000, STRIPPED)
    touch(tmp_path, 1016, STRIPPED)
    (tmp_path / "training" / "1000_3_glm.nii.gz").touch()
    with pytest.raises(UserError, match="expected the challenge's subjects alone") as error:
        layouts.find("miccai2012", tmp_path)
    named = str(error.value).split(": expected")[0].split(", ")
    folder = tmp_path / "testing"
    assert named == [
        str(tmp_path / "training" / "1000_3_glm.nii.gz"),
        *(str(folder / f"1016_{kind}.nii.gz") for kind in ("SS", "glm")),
    ]


def test_other_structures_are_refused(
    tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    for number in TRAINING:
        _, label = write(tmp_path, number, OWN)
    array = np.asarray(nib.Nifti1Image.from_filename(label).dataobj).copy()
    array[0, 0, 0], array[0, 0, 1] = 208, 79
    nib.Nifti1Image(array, np.diag([-1.0, 1, 1, 1])).to_filename(label)
    with pytest.raises(UserError, match=r"1036_3_glm\.nii\.gz: unknown labels \[79, 208\]"):
        preprocess_here(layouts.find("miccai2012", tmp_path), tmp_path / "records")


def test_one_layout_is_expected(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "1000.nii.gz").touch()
    with pytest.raises(UserError, match=r"expected either training-images/.* received neither"):
        layouts.find("miccai2012", tmp_path)
    touch(tmp_path, 1000, OWN)
    assert len(layouts.find("miccai2012", tmp_path).subjects) == 15
    touch(tmp_path, 1000, STRIPPED)
    with pytest.raises(UserError, match=r"expected either training-images/.* received both"):
        layouts.find("miccai2012", tmp_path)
    with pytest.raises(UserError, match="data_dir: expected a folder for --dataset miccai2012"):
        layouts.find("miccai2012", None)


NAMES = {
    "WM": "Cerebral White Matter",
    "BGT": "Accumbens|Caudate|Pallidum|Putamen|Thalamus",
    "CB": "Cerebellum|Cerebellar",
    "BS": "Brain Stem",
    "lvCSF": "Lateral Ventricle|Inf Lat Vent",
}


def test_structures_belong_to_the_class_that_their_names_tell(real_data: Path) -> None:
    """The challenge scores 134 of the structures, of which 98 are cortex."""
    folder = real_data / "miccai2012"
    with (folder / "label_information.csv").open() as file:
        table = {int(row["Label Number"]): row["Label Name"] for row in csv.DictReader(file)}
    classes = {c.name: c.labels for c in layouts.find("miccai2012", folder).classes}
    listed = [value for labels in classes.values() for value in labels]
    assert sorted(listed) == sorted({0, *table})
    for name, words in NAMES.items():
        expected = {value for value, title in table.items() if re.search(words, title)}
        assert set(classes[name]) == expected, name
    unscored = {110, 111, 126, 127, 130, 131, 158, 159, 188, 189}
    assert set(classes["cGM"]) == {value for value in table if value >= 100} - unscored
    assert len(classes["cGM"]) == 98
    written = {name: table[labels[0]] for name, labels in classes.items() if labels[0]}
    assert {name: " ".join(title.split()[:3]) for name, title in written.items()} == {
        "WM": "Right Cerebral White",
        "cGM": "Right MFG middle",
        "BGT": "Right Thalamus Proper",
        "CB": "Right Cerebellum Exterior",
        "BS": "Brain Stem",
        "lvCSF": "Right Lateral Ventricle",
    }


def test_a_real_subject_is_good_and_has_the_voxels_of_its_structures(real_data: Path) -> None:
    """Literals: counted from the file's bytes by the names in label_information.csv."""
    dataset = layouts.find("miccai2012", real_data / "miccai2012")
    (subject,) = (s for s in dataset.subjects if s.name == "1113")
    found = scan(subject, dataset)
    assert found.findings == ()
    voxels = {c.name: sum(found.label_counts.get(v, 0) for v in c.labels) for c in dataset.classes}
    assert voxels == {
        "background": 4085854,
        "WM": 441003,
        "cGM": 600433,
        "BGT": 34471,
        "CB": 129299,
        "BS": 18660,
        "lvCSF": 19918,
    }
