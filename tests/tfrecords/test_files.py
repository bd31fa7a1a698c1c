"""Writing that cannot be left half done, and JSON that is checked when read."""

import errno
import hashlib
import json
import os
import pickle
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tfrecords.errors import SettingError, UserError
from tfrecords.files import (
    HOST,
    _remove_leftovers,
    alone,
    checksum_holds,
    file_checksum,
    read_json,
    write_file,
    write_json,
    writing,
)


@dataclass(frozen=True)
class Note:
    name: str
    counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise SettingError("name", "expected another, received bad")


def test_checksums_are_sha256_of_the_whole_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert file_checksum(tmp_path / "file") == expected
    assert checksum_holds(tmp_path / "file", expected)
    assert not checksum_holds(tmp_path / "file", hashlib.sha256(b"").hexdigest())
    assert not checksum_holds(tmp_path / "none", expected)


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_writing_fails_without_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    (tmp_path / "folder").mkdir()

    def stop_half_way() -> None:
        with writing(path, tmp_path / "folder") as file:
            file.write_bytes(b"ha")
            assert file.parent == tmp_path / "folder"
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        stop_half_way()
    assert path.read_bytes() == b"old"
    assert not any((tmp_path / "folder").iterdir())


KILLED = """
import os, sys
from pathlib import Path
from tfrecords.files import writing
with writing(Path(sys.argv[1])) as file:
    file.write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


def test_the_next_process_removes_what_a_kill_left_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.nii"
    subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b"half"
    foreign = [tmp_path / name for name in (".hidden", ".0-model.nii", "other")]
    for file in foreign:
        file.write_text("")
    dead = left.name.split("-")[1]
    elsewhere = tmp_path / f".00000000-{dead}-{'0' * 16}-model.nii"
    elsewhere.write_text("of another machine's process")
    link = tmp_path / left.name.replace("model", "link")
    link.symlink_to(foreign[0])
    _remove_leftovers.cache_clear()
    with writing(tmp_path / "live") as live:
        live.write_bytes(b"whole")
        _remove_leftovers.cache_clear()
        write_file(path, b"new")
        assert live.exists()
    assert set(tmp_path.iterdir()) == {path, tmp_path / "live", *foreign, elsewhere, link}


def test_a_temporary_file_follows_no_link_and_is_unforeseeable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(tmp_path / "file") as first, writing(tmp_path / "file") as second:
        assert first != second
        for temporary in (first, second):
            temporary.write_bytes(b"")
    monkeypatch.setattr(secrets, "token_hex", lambda _: "0" * 16)
    (tmp_path / "victim").write_text("kept")
    place = tmp_path / f".{HOST}-{os.getpid()}-{'0' * 16}-file"
    place.symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "file", b"new")
    assert (tmp_path / "victim").read_text() == "kept"


def test_a_folder_in_a_files_place_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    with pytest.raises(OSError, match="Is a directory") as raised, writing(path) as temporary:
        temporary.write_text("x")
    assert (raised.value.filename, raised.value.filename2) == (str(path), None)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_with_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    with pytest.raises(OSError, match="No space left") as raised, writing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(path)
    assert pickle.loads(pickle.dumps(raised.value)).filename == str(path)
    assert not any(tmp_path.iterdir())


def test_content_is_synced_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (done.append("sync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b)))
    write_file(tmp_path / "file", b"content")
    assert done == ["sync", "replace", "sync"]


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"a": [1, 2]})
    os.utime(path, ns=(1, 1))
    write_json(path, {"a": (1, 2)})
    assert path.stat().st_mtime_ns == 1
    write_json(path, {"a": (1, 3)})
    assert path.stat().st_mtime_ns != 1
    assert json.loads(path.read_text()) == {"a": [1, 3]}


def test_a_dataclass_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    write_json(path, Note("a", (1, 2)), version=3)
    assert list(json.loads(path.read_text())) == ["format_version", "checksum", "name", "counts"]
    assert read_json(path, Note, 3, "Do this.") == Note("a", (1, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected a JSON object"),
        ("", "expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ('{"name": "a"}', "expected format version 3, received None"),
        ('{"format_version": 2, "name": "a"}', "expected format version 3, received 2"),
        ('{"format_version": 3, "name": "a"}', "expected the entries that were written"),
        ({}, "name: Field required"),
        ({"name": "a", "counts": ["x"]}, "counts.0: Input should be"),
        ({"name": "bad"}, "name: expected another, received bad"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_the_remedy(
    tmp_path: Path, content: str | dict[str, object], message: str
) -> None:
    path = tmp_path / "note.json"
    if isinstance(content, str):
        path.write_text(content)
    else:
        write_json(path, content, 3)
    with pytest.raises(UserError) as raised:
        read_json(path, Note, 3, "Do this.")
    assert str(raised.value).startswith(f"{path}: {message}")
    assert str(raised.value).endswith(". Do this.")


def test_an_edited_entry_is_refused_and_another_layout_is_not(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    write_json(path, Note("a", (1, 2)), version=3)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(content.items()))))
    assert read_json(path, Note, 3, "Do this.") == Note("a", (1, 2))
    path.write_text(json.dumps(content | {"counts": [1, 3]}))
    with pytest.raises(UserError, match=r"note\.json: expected the entries .* Do this\."):
        read_json(path, Note, 3, "Do this.")


def test_a_file_of_another_user_is_no_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read all files, so that the system's answer is made here."""

    def refuse(path: Path, **_: str) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(UserError) as error:
        read_json(tmp_path / "none", Note, 3, "Train again.")
    expected = f"{tmp_path}/none: Permission denied; ask its owner for the right to read it"
    assert str(error.value) == expected


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{tmp_path}/none: .*No such file.*Do this"):
        read_json(tmp_path / "none", Note, 3, "Do this.")


HOLD = """
import sys
from pathlib import Path
from tfrecords.files import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_has_a_folder_to_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process writes there"), alone(tmp_path):
            pass
        other.kill()
    with alone(tmp_path):
        pass
