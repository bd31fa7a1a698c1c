"""Tables of evaluated runs that are damaged, each told in one line."""

import math
from pathlib import Path

import pytest

from tfadv.evaluation.tables import read_table
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError


def read(folder: Path, content: bytes) -> dict[str, float]:
    work_dir = WorkDir(folder)
    work_dir.metrics.write_bytes(content)
    return dict(read_table(work_dir, work_dir.metrics, ["subject"], ["dice"])["dice"])


def test_names_are_texts_and_empty_numbers_nan(tmp_path: Path) -> None:
    found = read(tmp_path, b"dice,other,subject\n0.5,x,001\n,x,NA\n")
    assert list(found) == ["001", "NA"]
    assert found["001"] == 0.5
    assert math.isnan(found["NA"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "No columns"),
        (b"subject,dice\n", "no rows"),
        (b"subject\ns0\n", "dice"),
        (b"subject,dice\ns0,good\n", "good"),
        (b"subject,dice\ns0,0.5\ns0,0.5\n", "duplicate rows"),
        (b"subject,dice\n\xff\xfe,0.5\n", "utf-8"),
        (b'subject,dice\n"s0,0.5\n', "EOF inside string"),
    ],
)
def test_damage_is_one_line(content: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason) as refusal:
        read(tmp_path, content)
    (line,) = str(refusal.value).splitlines()
    assert line.startswith(f"{tmp_path / 'metrics.csv'}: expected the table of an evaluated run")
    assert line.endswith(f"Run python launch/evaluate.py --work_dir {tmp_path}")


def test_a_folder_in_the_tables_place(tmp_path: Path) -> None:
    work_dir = WorkDir(tmp_path)
    work_dir.metrics.mkdir()
    with pytest.raises(UserError, match="Is a directory"):
        read_table(work_dir, work_dir.metrics, ["subject"], ["dice"])
