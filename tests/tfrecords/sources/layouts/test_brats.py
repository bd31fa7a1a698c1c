from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tfrecords.errors import UserError
from tfrecords.records.manifest import Manifest
from tfrecords.sources import layouts
from tfrecords.writing.folds import assign_folds

NAMES = {
    "2018": ("_t1.nii.gz", "_t1ce.nii.gz", "_t2.nii.gz", "_flair.nii.gz", "_seg.nii.gz"),
    "2023": ("-t1n.nii", "-t1c.nii", "-t2w.nii", "-t2f.nii", "-seg.nii"),
}
VSD = (
    "VSD.Brain.XX.O.MR_T1.54513",
    "VSD.Brain.XX.O.MR_T1c.54514",
    "VSD.Brain.XX.O.MR_T2.54515",
    "VSD.Brain.XX.O.MR_Flair.54512",
    "VSD.Brain_3more.XX.O.OT.54517",
)
# Voxels of each label, in maps of 4 x 5 x 6.
VOXELS = {
    "2018": {0: 90, 1: 5, 2: 15, 4: 10},
    "2023": {0: 90, 1: 5, 2: 15, 3: 10},
    "2015": {0: 90, 1: 5, 2: 12, 3: 3, 4: 10},
}


def modern(subject: Path, year: str) -> tuple[Path, ...]:
    return tuple(subject / f"{subject.name}{ending}" for ending in NAMES[year])


def vsd(subject: Path, names: tuple[str, ...] = VSD) -> tuple[Path, ...]:
    return tuple(subject / name / f"{name}.mha" for name in names)


def files_of(subject: Path, year: str) -> tuple[Path, ...]:
    return vsd(subject) if year == "2015" else modern(subject, year)


def write(files: tuple[Path, ...], year: str) -> None:
    """A subject's modalities and label map, small."""
    random = np.random.default_rng(list(files[0].as_posix().encode()))
    arrays = [random.integers(1, 999, (4, 5, 6)).astype(np.int16) for _ in files[1:]]
    voxels = VOXELS[year]
    label = np.repeat(np.array(list(voxels), np.uint8), list(voxels.values()))
    for path, array in zip(files, [*arrays, label.reshape(4, 5, 6)], strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".mha":
            sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
        else:
            nib.Nifti1Image(array, np.eye(4)).to_filename(path)


def touch(*files: Path) -> None:
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("year", "classes"),
    [
        ("2018", {"background": 0, "necrosis": 1, "oedema": 2, "enhancing": 4}),
        ("2023", {"background": 0, "necrosis": 1, "oedema": 2, "enhancing": 3}),
        (
            "2015",
            {"background": 0, "necrosis": 1, "non_enhancing": 3, "oedema": 2, "enhancing": 4},
        ),
    ],
)
def test_every_layout_becomes_a_record_set_in_its_own_label_values(
    tmp_path: Path, preprocess_here: Callable[..., Manifest], year: str, classes: dict[str, int]
) -> None:
    places = [tmp_path / "HGG" / "b", tmp_path / "LGG" / "a"]
    for place in places:
        write(files_of(place, year), year)
    dataset = layouts.find("brats", tmp_path)
    manifest = preprocess_here(dataset, tmp_path / "records")
    assert manifest.modalities == ("t1", "t1ce", "t2", "flair")
    assert {c.name: c.labels for c in manifest.classes} == {n: (v,) for n, v in classes.items()}
    assert [c.name for c in manifest.classes] == list(classes)
    assert manifest.class_voxels == tuple(2 * VOXELS[year][value] for value in classes.values())
    tumour = [name for name in classes if name != "background"]
    core = [name for name in tumour if name != "oedema"]
    regions = [(name, list(members)) for name, members in manifest.regions.items()]
    assert regions == [("WT", tumour), ("TC", core), ("ET", ["enhancing"])]
    assert manifest.groups == ("high_grade", "low_grade")
    assert {s.name: s.group for s in manifest.subjects} == {"b": "high_grade", "a": "low_grade"}
    for place, subject in zip(places, dataset.subjects, strict=True):
        assert subject.files == files_of(place, year)


def test_compressed_and_other_files_of_one_year_may_stand_side_by_side(tmp_path: Path) -> None:
    files = modern(tmp_path / "deep" / "down" / "NAME", "2018")
    files = (files[0].with_suffix(""), *files[1:])
    touch(*files)
    touch(
        files[0].with_name("._NAME_t1.nii"),
        files[0].with_name("NAME_t1_normalised.nii"),
        files[0].with_name("NAME_adc.nii"),
        files[0].with_name("OTHER_t2.nii.gz"),
        tmp_path / "survival_data.csv",
    )
    (subject,) = layouts.find("brats", tmp_path).subjects
    assert subject.files == files


def test_linked_folders_of_subjects_are_followed(tmp_path: Path) -> None:
    touch(*modern(tmp_path / "all" / "NAME", "2018"))
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "NAME").symlink_to(tmp_path / "all" / "NAME")
    (subject,) = layouts.find("brats", tmp_path / "some").subjects
    assert subject.files == modern(tmp_path / "some" / "NAME", "2018")


def test_subjects_of_2013_are_told_apart_by_their_grade(tmp_path: Path) -> None:
    """Numbers begin anew for low grades; synthetic subjects have labels of their own."""
    names = (
        "VSD.Brain.XX.O.MR_T1",
        "VSD.Brain.XX.O.MR_T1c",
        "VSD.Brain.XX.O.MR_T2",
        "VSD.Brain.XX.O.MR_Flair",
    )
    real, expected = tmp_path / "Image_Data", {}
    for place, label in (
        (real / "HG" / "0001", "VSD.Brain_3more.XX.XX.OT"),
        (real / "LG" / "0001", "VSD.Brain_2more.XX.XX.OT"),
        (real / "LG" / "0012", "VSD.Brain_1more.XX.O.OT"),
    ):
        numbered = enumerate([*names, label], 684)
        files = tuple(place / name / f"{name}.{number}.mha" for number, name in numbered)
        touch(*files)
        expected[f"{place.parent.name}_{place.name}"] = files
    touch(*vsd(tmp_path / "Synthetic_Data" / "HG" / "0001"))
    dataset = layouts.find("brats", tmp_path)
    assert {s.name: s.files for s in dataset.subjects} == expected
    assert [s.group for s in dataset.subjects] == ["high_grade", "low_grade", "low_grade"]


def test_files_of_2015_without_folders_of_their_own_are_found(tmp_path: Path) -> None:
    files = tuple(tmp_path / "HGG" / "brats_2013_pat0001_1" / f"{name}.mha" for name in VSD)
    touch(*files)
    (subject,) = layouts.find("brats", tmp_path).subjects
    assert (subject.name, subject.files) == ("brats_2013_pat0001_1", files)


MAPPING = """Grade,BraTS_2017_subject_ID,BraTS_2018_subject_ID,TCGA_TCIA_subject_ID,\
BraTS_2019_subject_ID,BraTS_2020_subject_ID
HGG,NA,NA,NA,BraTS19_CBICA_AAA_1,BraTS20_Training_001
LGG,Brats17_B,Brats18_B,NA,BraTS19_B,BraTS20_Training_002
"""


@pytest.mark.parametrize("file", ["name_mapping.csv", "MICCAI_BraTS2020_mapping.csv"])
@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (("BraTS20_Training_001", "BraTS20_Training_002"), ("high_grade", "low_grade")),
        (("Brats18_B", "Brats18_C"), ("low_grade", "unknown_grade")),
        (("Brats18_C", "Brats18_D"), ("all", "all")),
    ],
)
def test_grades_are_those_of_the_mapping(
    tmp_path: Path, file: str, names: tuple[str, str], groups: tuple[str, str]
) -> None:
    (tmp_path / file).write_text(MAPPING)
    (tmp_path / "name_mapping_validation_data.csv").write_text("BraTS_2020_subject_ID\nBrats18_C\n")
    for name in names:
        touch(*modern(tmp_path / name, "2018"))
    dataset = layouts.find("brats", tmp_path)
    assert {s.name: s.group for s in dataset.subjects} == dict(zip(names, groups, strict=True))
    expected = {
        "low_grade": ("high_grade", "low_grade"),
        "unknown_grade": ("high_grade", "low_grade", "unknown_grade"),
        "all": ("all",),
    }
    assert dataset.groups == expected[groups[1]]


def test_a_folder_tells_the_grade_sooner_than_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "name_mapping.csv").write_text(MAPPING)
    touch(*modern(tmp_path / "HGG" / "Brats18_B", "2018"))
    (subject,) = layouts.find("brats", tmp_path).subjects
    assert subject.group == "high_grade"


def test_a_mapping_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    touch(*modern(tmp_path / "NAME", "2018"))
    (tmp_path / "name_mapping.csv").write_bytes(b"Grade\n\xff\xfe\xfa")
    with pytest.raises(UserError, match=r"name_mapping\.csv: cannot be read as CSV"):
        layouts.find("brats", tmp_path)


def test_ten_folds_split_each_grade_nine_to_one(tmp_path: Path) -> None:
    """The split of Xue et al. 2018, 3.1."""
    for grade, count in (("HGG", 20), ("LGG", 10)):
        for number in range(count):
            touch(*modern(tmp_path / grade / f"{grade}{number}", "2018"))
    dataset = layouts.find("brats", tmp_path)
    folds = assign_folds(dataset.subjects, 10, seed=0)
    shares = Counter((folds[subject.name], subject.group) for subject in dataset.subjects)
    expected = {"high_grade": 2, "low_grade": 1}
    assert shares == {(str(f), group): n for f in range(10) for group, n in expected.items()}


def test_missing_files_are_named_and_their_subjects_left_out_on_request(
    tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    missing = []
    for number, year in enumerate(["2018"] * 4):
        files = modern(tmp_path / f"s{number}", year)
        write(files, year)
        if number < 2:
            missing.append(files[(4, 1)[number]])
            missing[-1].unlink()
    dataset = layouts.find("brats", tmp_path)
    with pytest.raises(UserError, match="2 of 4 subjects are not valid") as error:
        preprocess_here(dataset, tmp_path / "records")
    reported = [f"  s{number}: {path}: no such file" for number, path in enumerate(missing)]
    assert str(error.value).splitlines()[1:] == reported
    manifest = preprocess_here(dataset, tmp_path / "records", skip_invalid=True)
    assert [s.name for s in manifest.subjects] == ["s2", "s3"]


def test_missing_files_of_2015_are_named_but_for_their_numbers(tmp_path: Path) -> None:
    touch(*vsd(tmp_path / "a"))
    touch(*vsd(tmp_path / "b")[:3])
    subject = layouts.find("brats", tmp_path).subjects[1]
    assert subject.images[3] == tmp_path / "b" / "VSD.Brain*.MR_Flair.*.mha"
    assert subject.label == tmp_path / "b" / "VSD.Brain*.OT.*.mha"


def test_a_validation_set_is_refused_as_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        touch(*modern(tmp_path / name, "2018")[:4])
    with pytest.raises(UserError, match="expected label maps, found none of 2 subjects") as error:
        layouts.find("brats", tmp_path)
    assert "launch/predict.py" in str(error.value)


def test_layouts_are_not_mixed(tmp_path: Path) -> None:
    touch(*modern(tmp_path / "a", "2018"), *modern(tmp_path / "b", "2023"))
    with pytest.raises(UserError) as error:
        layouts.find("brats", tmp_path)
    received = f"received 2017 to 2021 ({tmp_path / 'a'}) and 2023 ({tmp_path / 'b'})"
    assert str(error.value).endswith(received)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "imagesTr" / "BRATS_001_0000.nii.gz")
    with pytest.raises(UserError) as error:
        layouts.find("brats", tmp_path)
    for words in (
        "2017 to 2021: NAME/NAME_t1.nii.gz, ...",
        "2023: NAME/NAME-t1n.nii.gz, ...",
        "2013 and 2015: NAME/VSD.Brain*.MR_T1.*.mha, ...",
        "received none of them",
    ):
        assert words in str(error.value)
    for wrong in (None, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="data_dir: expected a folder for --dataset brats"):
            layouts.find("brats", wrong)


def test_two_files_for_one_purpose_are_refused(tmp_path: Path) -> None:
    touch(*vsd(tmp_path / "a"))
    name = "VSD.Brain_1more.XX.O.OT.54518"
    touch(tmp_path / "a" / name / f"{name}.mha")
    with pytest.raises(UserError, match="expected one file of a subject's OT") as error:
        layouts.find("brats", tmp_path)
    assert str(vsd(tmp_path / "a")[4]) in str(error.value)
    assert f"{name}.mha" in str(error.value)


def test_the_real_subjects_of_2018_are_found_whole(real_data: Path) -> None:
    dataset = layouts.find("brats", real_data / "brats2018")
    assert [s.name for s in dataset.subjects] == ["Brats18_2013_2_1", "Brats18_TCIA05_396_1"]
    assert all(path.is_file() for subject in dataset.subjects for path in subject.files)
    assert dataset.groups == ("all",)
