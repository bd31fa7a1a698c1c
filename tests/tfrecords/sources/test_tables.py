"""Tables that a user writes."""

from pathlib import Path

import pytest

from tfrecords.errors import SettingError, UserError
from tfrecords.sources.tables import find_csv, read_rows


def test_a_csv_or_a_folder_with_a_single_one_will_do(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "a.txt").touch()
    assert find_csv(tmp_path, "table") == find_csv(tmp_path / "a.csv", "table")
    assert find_csv(tmp_path / "a.txt", "table") == tmp_path / "a.txt"


def test_other_places_are_refused_with_what_is_there(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    message = r"data_dir: expected a scan, a CSV, .* table, received .* \['a.csv', 'b.csv'\]"
    with pytest.raises(SettingError, match=message):
        find_csv(tmp_path, "table", otherwise="a scan, ")
    for nowhere in (None, tmp_path / "none"):
        with pytest.raises(SettingError, match=r"received .* with \[\]"):
            find_csv(nowhere, "table")


def test_values_are_text_and_only_an_empty_field_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("subject, t1\nNA, 007\nnull,\n")
    rows = read_rows(tmp_path / "a.csv")
    assert rows["subject"].tolist() == ["NA", "null"]
    assert rows["t1"][2] == "007"
    assert rows["t1"].isna().tolist() == [False, True]


@pytest.mark.parametrize("separator", [",", ";", "\t", "; ", " , "])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\r\n"])
def test_the_header_tells_the_separator(tmp_path: Path, separator: str, start: str) -> None:
    """As spreadsheets of other countries write it."""
    lines = [separator.join(values) for values in (("subject", "t1", ""), ("a", "b c.nii", ""))]
    path = tmp_path / "a.csv"
    path.write_bytes((start + "\r\n".join([*lines, separator, ""])).encode())
    rows = read_rows(path)
    assert rows.to_dict("list") == {"subject": ["a"], "t1": ["b c.nii"]}


def test_the_index_is_the_line_whatever_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('subject,t1\n\na,"b,c"\n,\nd\n')
    rows = read_rows(tmp_path / "a.csv")
    assert rows.index.tolist() == [3, 5]
    assert rows["t1"].tolist() == ["b,c", None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"cannot be read as CSV in UTF-8 \(it is empty\)"),
        (b"\n ,\n", "it is empty"),
        (b'a,b\n"', "cannot be read as CSV"),
        (b"\xff\xfe", "cannot be read as CSV"),
        ("subject,t1\nä,b".encode("latin-1"), "cannot be read as CSV in UTF-8"),
        (b"a,b\n1,2,3\n", "line 2: expected at most 2 values, one for each column, received 3"),
        (b"subject;t1,label\n", "its header has commas and semicolons"),
        (b"subject,t1,t1\n", "columns of different names, received .'subject', 't1', 't1'"),
        (b",subject\n0,a\n", "columns of different names, received .None, 'subject'"),
    ],
)
def test_what_is_no_csv_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"/a\.csv: .*{message}") as error:
        read_rows(tmp_path / "a.csv")
    assert "\n" not in str(error.value)


def test_a_folder_is_no_csv(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read as CSV"):
        read_rows(tmp_path)
