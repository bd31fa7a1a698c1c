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
    assert rows["t1"][0] == "007"
    assert rows["t1"].isna().tolist() == [False, True]


@pytest.mark.parametrize("content", [b"", b'a,b\n1,2,3,4\n1\n"', b"\xff\xfe"])
def test_what_is_no_csv_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"a.csv: cannot be read as CSV"):
        read_rows(tmp_path / "a.csv")
