"""Whose image a file is, by its name; and what is named because it is nobody's."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.tfadv.inference.laid import MODALITIES, laid
from tfadv.inference.subjects import Found, find
from tfrecords.errors import UserError


def images(found: Found, folder: Path) -> dict[str, list[str]]:
    return {
        subject.name: [path.relative_to(folder).as_posix() for path in subject.images]
        for subject in found.subjects
    }


def relative(paths: Iterable[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ("a_0001.nii.gz", "a_0000.nii.gz", "b_c_0000.NRRD", "b_c_0001.mha"),
            {"a": ["a_0000.nii.gz", "a_0001.nii.gz"], "b_c": ["b_c_0000.NRRD", "b_c_0001.mha"]},
        ),
        (
            ("a_t1.nii", "a_post_t1.nii", "post_t1.mhd", "post_post_t1.mhd"),
            {"a": ["a_t1.nii", "a_post_t1.nii"], "post": ["post_t1.mhd", "post_post_t1.mhd"]},
        ),
        (
            ("a/t1.nii.gz", "a/POST_T1.nii.gz", "b/b_t1.nrrd", "b/b_post_t1.nrrd"),
            {"a": ["a/t1.nii.gz", "a/POST_T1.nii.gz"], "b": ["b/b_t1.nrrd", "b/b_post_t1.nrrd"]},
        ),
        (
            ("a.nii.gz", "b.c.nii", "d/d.mha"),
            {"a": ["a.nii.gz"], "b.c": ["b.c.nii"], "d": ["d/d.mha"]},
        ),
        (("a_0001.nii", "a_0002.nii"), {"a_0001": ["a_0001.nii"], "a_0002": ["a_0002.nii"]}),
    ],
    ids=["numbers", "names", "folders", "whole", "numbers of subjects"],
)
def test_layouts(names: tuple[str, ...], expected: dict[str, list[str]], tmp_path: Path) -> None:
    assert images(find(laid(tmp_path, *names), MODALITIES), tmp_path) == expected


def test_of_one_modality_every_file_is_a_subject(tmp_path: Path) -> None:
    laid(tmp_path, "a.nii.gz", "b_t2.nii.gz", "c/c.nii.gz")
    found = find(tmp_path, ("t1",))
    assert images(found, tmp_path) == {
        "a": ["a.nii.gz"],
        "b_t2": ["b_t2.nii.gz"],
        "c": ["c/c.nii.gz"],
    }
    assert (found.faults, found.left_out) == ({}, ())


def test_what_is_nobodys_is_left_out_by_name(tmp_path: Path) -> None:
    laid(tmp_path, "a_t1.nii", "a_post_t1.nii")
    laid(tmp_path, "._a_t1.nii", "a_seg.nii", "b/x_t1.nii", "c/d/t1.nii", "notes.txt")
    found = find(tmp_path, MODALITIES)
    assert images(found, tmp_path) == {"a": ["a_t1.nii", "a_post_t1.nii"]}
    assert relative(found.left_out, tmp_path) == [
        "._a_t1.nii",
        "a_seg.nii",
        "b/x_t1.nii",
        "c/d",
        "notes.txt",
    ]
    assert set(relative(found.inputs, tmp_path)) >= {"a_t1.nii", "notes.txt", "b/x_t1.nii"}


def test_a_folder_of_a_dicom_series_is_an_image(tmp_path: Path) -> None:
    names = (
        "a/t1/1",
        "a/post_t1/1",
        "b_t1/1",
        "b_post_t1/1",
        "c/c_t1/1",
        "c/post_t1.nii",
        "d/t1/x",
    )
    for path in (tmp_path / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(128) + b"DICM" if path.name == "1" else b"")
    found = find(tmp_path, MODALITIES)
    assert images(found, tmp_path) == {
        "a": ["a/t1", "a/post_t1"],
        "b": ["b_t1", "b_post_t1"],
        "c": ["c/c_t1", "c/post_t1.nii"],
    }
    assert relative(found.left_out, tmp_path) == ["d/t1"]
    with pytest.raises(UserError, match=r"one subject's images as --image, received .*a/t1$"):
        find(tmp_path / "a" / "t1", MODALITIES)


@pytest.mark.parametrize(
    ("names", "faults"),
    [
        (
            ("a_0000.nii", "b_0000.nii", "b_0001.nii"),
            {"a": "expected a file for each of 0000, 0001, received {}/a_0000.nii"},
        ),
        (
            ("a_post_t1.nii", "b_t1.nii", "b_post_t1.nii", "b/t1.nii"),
            {
                "a": "expected a file for each of t1, post_t1, received {}/a_post_t1.nii",
                "b": "expected one file per modality, received {0}/b/t1.nii, {0}/b_t1.nii",
            },
        ),
        (
            ("a_0000.nii", "a_0001.nii", "a_0002.nii"),
            {
                "a": "expected a file for each of 0000, 0001, received {0}/a_0000.nii, "
                "{0}/a_0001.nii, {0}/a_0002.nii"
            },
        ),
        (
            ("a.nii", "a.mha"),
            {"a": "expected one file per modality, received {0}/a.mha, {0}/a.nii"},
        ),
    ],
)
def test_incomplete_subjects_are_named(
    names: tuple[str, ...], faults: dict[str, str], tmp_path: Path
) -> None:
    found = find(laid(tmp_path, *names), MODALITIES)
    assert found.faults == {name: fault.format(tmp_path) for name, fault in faults.items()}


@pytest.mark.parametrize("name", ["-a", "a" * 101, "a\n"])
def test_a_name_that_no_file_may_have_is_a_fault(name: str, tmp_path: Path) -> None:
    found = find(laid(tmp_path, f"{name}.nii", "b.nii"), ("t1",))
    assert [subject.name for subject in found.subjects] == ["b"]
    assert found.faults[name].startswith("subjects: expected a name of 1 to 100 bytes")


def test_nothing_to_predict_is_an_error_that_tells_how_files_are_named(tmp_path: Path) -> None:
    expected = (
        r"^images: .*expected a file per modality \(case_0000.nii.gz, as nnU-Net numbers them, or "
        r"case_t1.nii.gz, case_post_t1.nii.gz\), or one file per subject; received"
    )
    with pytest.raises(UserError, match=f"{expected} none$"):
        find(tmp_path, MODALITIES)
    with pytest.raises(UserError, match=f"{expected} others, such as x.txt$"):
        find(laid(tmp_path, "x.txt"), MODALITIES)
    (tmp_path / "x.nii.gz").touch()
    for odd in ("x.nii.gz", "missing"):
        with pytest.raises(UserError, match=f"expected a folder of subjects or a CSV, .*{odd}$"):
            find(tmp_path / odd, MODALITIES)


def test_a_table_names_files_by_the_models_modalities(tmp_path: Path) -> None:
    table = tmp_path / "subjects.csv"
    table.write_text("subject,label,post_t1,t1\na,,x/p.nii,x/t.nii\nb,l.nii,,t.nii\n../c,,1,2\n")
    found = find(table, MODALITIES)
    assert images(found, tmp_path) == {"a": ["x/t.nii", "x/p.nii"]}
    assert found.faults["b"] == f"{table}: expected a value for post_t1, received none"
    assert found.faults["../c"].startswith("subjects: expected a name")
    assert relative(found.inputs, tmp_path) == ["x/t.nii", "x/p.nii", "t.nii", "2", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,t1\na,b", "expected the columns subject and t1, post_t1, .* called post_t1"),
        ("subject,t1,post_t1\na,b,c\na,d,e", "expected each subject once, received a several"),
        ("subject,t1,post_t1\n,b,c", "line 2: expected a value for subject, received none"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        find(tmp_path / "t.csv", MODALITIES)
