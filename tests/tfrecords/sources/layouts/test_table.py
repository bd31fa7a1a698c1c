from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.records.manifest import Manifest
from tfrecords.sources import layouts
from tfrecords.sources.subject import Dataset


def find(folder: Path, *lines: str, unlabelled: bool = False) -> Dataset:
    (folder / "subjects.csv").write_text("\n".join(lines) + "\n")
    return layouts.find("table", folder, unlabelled=unlabelled)


def test_rows_are_subjects_and_paths_relative_to_the_csv(tmp_path: Path) -> None:
    dataset = find(
        tmp_path,
        "subject, flair, group, label, t1, fold",
        "b, ../scans/b_flair.nii.gz, low, b/seg.mha, /elsewhere/b_t1.nrrd, test",
        "a, a/flair.nii.gz, high, a/seg.mha, a/t1.nrrd, train",
        "7, c/flair.nii.gz, low, c/seg.mha, c/t1.nrrd, train",
    )
    assert dataset.name == "table"
    assert dataset.modalities == ("flair", "t1")
    assert dataset.classes == ()
    assert dataset.groups == ("low", "high")
    first, second, third = dataset.subjects
    assert first.images == (tmp_path / "../scans/b_flair.nii.gz", Path("/elsewhere/b_t1.nrrd"))
    assert first.label == tmp_path / "b/seg.mha"
    assert [(s.name, s.group, s.fold) for s in (first, second, third)] == [
        ("b", "low", "test"),
        ("a", "high", "train"),
        ("7", "low", "train"),
    ]


def test_group_and_fold_are_optional(tmp_path: Path) -> None:
    dataset = find(tmp_path, "subject,t1,label", "a,a.nii,l.nii")
    assert dataset.groups == ("all",)
    assert (dataset.subjects[0].group, dataset.subjects[0].fold) == ("all", "")
    assert layouts.find("table", tmp_path / "subjects.csv") == dataset


def test_words_that_look_like_missing_numbers_are_names(tmp_path: Path) -> None:
    lines = ["subject,t1,label,group,fold", "NA,null,nan,None,NA", "007,a,b,None,n-a.1"]
    first, second = find(tmp_path, *lines).subjects
    assert (first.name, first.group, first.fold) == ("NA", "None", "NA")
    assert first.files == (tmp_path / "null", tmp_path / "nan")
    assert (second.name, second.fold) == ("007", "n-a.1")


@pytest.mark.parametrize(
    ("header", "received"),
    [
        ("subject,t1", "'subject', 't1'"),
        ("t1,label", "'t1', 'label'"),
        ("subject,label,group", "'subject', 'label', 'group'"),
        ("subject;t1", "'subject', 't1'"),
    ],
)
def test_missing_columns_are_named(tmp_path: Path, header: str, received: str) -> None:
    with pytest.raises(UserError, match="expected the columns subject, label and one per") as error:
        find(tmp_path, header, "a")
    assert f"received [{received}]" in str(error.value)


@pytest.mark.parametrize(
    ("row", "column"), [(",a,b,c", "subject"), ("s,,b,c", "t1"), ("s,a,b,", "label")]
)
def test_missing_values_are_named_by_line(tmp_path: Path, row: str, column: str) -> None:
    message = rf"subjects\.csv: line 3: expected a value for {column}, received none"
    with pytest.raises(UserError, match=message):
        find(tmp_path, "subject,t1,t2,label", "good,a,b,c", row)


UNLABELLED = ("subject,t1,label,group", "a,a.nii,,low", "b,b.nii,l.nii,high", "c,c.nii, ,rare")


def test_a_group_of_some_subjects_alone_is_refused(tmp_path: Path) -> None:
    """Of the others, it is not "all"."""
    lines = ("subject,t1,label,group", "a,a.nii,a-l.nii,high", "b,b.nii,b-l.nii,", "c,c.nii,,")
    message = "line 3: expected a value for group, received none"
    with pytest.raises(UserError, match=message):
        find(tmp_path, *lines, unlabelled=True)
    full = (*lines[:2], lines[2] + "low", lines[3])
    assert find(tmp_path, *full, unlabelled=True).groups == ("high", "low", "all")
    assert find(tmp_path, *(line.removesuffix("high") for line in lines[:2])).groups == ("all",)


def test_rows_without_a_label_are_subjects_on_demand(tmp_path: Path) -> None:
    dataset = find(tmp_path, *UNLABELLED, unlabelled=True)
    assert [s.label for s in dataset.subjects] == [None, tmp_path / "l.nii", None]
    assert [s.files for s in dataset.subjects][::2] == [
        (tmp_path / "a.nii",),
        (tmp_path / "c.nii",),
    ]
    assert [s.group for s in dataset.subjects] == ["low", "high", "rare"]
    # The first is favoured, which is for labelled subjects to decide.
    assert dataset.groups == ("high", "low", "rare")
    with pytest.raises(UserError, match=r"line 2: expected a value for t1, received none$"):
        find(tmp_path, "subject,t1,label", "a,,", "b,b.nii,l.nii", unlabelled=True)


def test_rows_without_a_label_are_refused_otherwise(tmp_path: Path) -> None:
    message = (
        r"subjects\.csv: line 2: expected a value for label, received none. Give --unlabelled to "
        "take subjects without a label map$"
    )
    with pytest.raises(UserError, match=message):
        find(tmp_path, *UNLABELLED)


@pytest.mark.parametrize(
    ("rows", "received"), [((1, 3), "0 with and 2 without one"), ((2,), "1 with and 0 without one")]
)
def test_on_demand_there_must_be_subjects_of_both_kinds(
    tmp_path: Path, rows: tuple[int, ...], received: str
) -> None:
    lines = (UNLABELLED[number] for number in (0, *rows))
    with pytest.raises(UserError, match=f"^unlabelled: .*expected subjects .*{received}$"):
        find(tmp_path, *lines, unlabelled=True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("subject,t1,t1,label", "s,a,b,c"), "columns of different names"),
        (("subject,t1,T1,label", "s,a,b,c"), "modalities: expected names that differ"),
        (("subject,t1,t2,label", "s,a,./a,b"), "subjects: s: expected a file for each"),
        (("subject,t1,label", "s,a,a"), "subjects: s: expected a file for each"),
        (("subject,t1,label", "../../s,a,b"), "subjects: expected a name"),
        (("subject,t1,label", "-s,a,b"), "subjects: expected a name"),
        (("subject,t1,label", '" ",a,b'), "line 2: expected a value for subject"),
        (("subject,t1,label,group", "s,a,b,x", "t,c,d,X"), "groups: expected names that differ"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=rf"subjects\.csv: .*{message}"):
        find(tmp_path, *lines)


@pytest.mark.parametrize("column", ["group", "fold"])
@pytest.mark.parametrize("value", ["a/b", "../a", "-a", 101 * "a"])
def test_groups_and_folds_must_do_in_file_names(tmp_path: Path, column: str, value: str) -> None:
    with pytest.raises(UserError, match=rf"csv: {column}s: .*received '{value}'"):
        find(tmp_path, f"subject,t1,label,{column}", f"s,a,b,{value}")


def test_the_csv_must_be_clear(tmp_path: Path) -> None:
    for data_dir in (None, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="data_dir: expected a CSV, or a folder with a single"):
            layouts.find("table", data_dir)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("subject,t1,label\ns,a,b\n")
    with pytest.raises(UserError, match=r"with \['a.csv', 'b.csv'\]"):
        layouts.find("table", tmp_path)
    assert len(layouts.find("table", tmp_path / "b.csv").subjects) == 1


def test_what_is_no_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "subjects.csv"
    for content in (b"", b"\xff\xfe\x00\x01", b'subject,t1,label\n"s,a,b\n'):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"subjects\.csv: cannot be read as CSV"):
            layouts.find("table", path)
    path.write_text("subject,t1,label\n")
    with pytest.raises(UserError, match="expected subjects of --dataset table, found none"):
        layouts.find("table", path)


@pytest.mark.slow
def test_real_subjects_of_2015_go_through_a_table(
    real_data: Path, tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    """Two modalities, standardised, floating; the labels 0 to 4 become classes without regions."""
    folders = sorted((real_data / "brats2015").iterdir())
    lines = ["subject,flair,t1c,label"]
    voxels = np.zeros(5, int)
    for folder in folders:
        kinds = ("Flair_subtrMeanDivStd", "T1c_subtrMeanDivStd", "OTMultiClass")
        files = [str(folder / f"{kind}.nii.gz") for kind in kinds]
        lines.append(",".join([folder.name, *files]))
        label = np.asarray(nib.Nifti1Image.from_filename(files[-1]).dataobj).astype(int)
        voxels += np.bincount(label.ravel(), minlength=5)
    (tmp_path / "subjects.csv").write_text("\n".join(lines))
    dataset = layouts.find("table", tmp_path)
    manifest = preprocess_here(dataset, tmp_path / "records", crop=(180, 180, 128))
    assert manifest.modalities == ("flair", "t1c")
    assert [c.labels for c in manifest.classes] == [(0,), (1,), (2,), (3,), (4,)]
    assert manifest.class_voxels == tuple(voxels)
    assert (manifest.image_dtype, manifest.largest_shape) == ("float16", (128, 180, 180))
    assert [subject.source.shape for subject in manifest.subjects] == [(240, 240, 155)] * 2
