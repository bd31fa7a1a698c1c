"""Folders of versions: which one counts, and that none is lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tfadv.inference import versions
from tfadv.inference.versions import (
    SAVED_MODEL,
    is_version_of,
    latest,
    name_of,
    publish,
    require_versions,
)
from tfrecords.errors import SettingError

Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """`made("NAME/1")`: a folder with what stands for a model; its name in it."""

    def make(name: str) -> Path:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / SAVED_MODEL).write_text(name)
        return tmp_path / name

    return make


def test_the_latest_version_is_the_largest_number(made: Made, tmp_path: Path) -> None:
    for number in (1, 2, 10):
        made(f"a/{number}")
    for other in ("a/11.old", "a/.export-x", "a/012", "a/0"):
        made(other)
    assert latest(tmp_path / "a") == tmp_path / "a" / "10"
    assert latest(tmp_path / "a" / "2") == tmp_path / "a" / "2"


def test_a_model_itself_is_taken_as_it_is(made: Made, tmp_path: Path) -> None:
    made("a")
    made("a/3")
    assert latest(tmp_path / "a") == tmp_path / "a"
    for nothing in ("none", "a/3/saved_model.pb"):
        assert latest(tmp_path / nothing) == tmp_path / nothing


def test_a_version_is_one_of_its_folder() -> None:
    folder = Path("/a/b")
    assert is_version_of(folder / "12", folder)
    for other in (folder, folder / "x", folder / "1" / "2", folder / "01"):
        assert not is_version_of(other, folder)


def test_names_tell_the_version(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    assert name_of(made("a/12")) == "a-12"
    assert name_of(made("b")) == "b"
    monkeypatch.chdir(made("c/2"))
    assert name_of(Path(".")) == "c-2"


def test_versions_follow_each_other_and_are_never_replaced(made: Made, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert publish(made("x"), tmp_path / "a") == tmp_path / "a" / "1"
    made("a/7")
    assert publish(made("y"), tmp_path / "a") == tmp_path / "a" / "8"
    found = {path.name: (path / SAVED_MODEL).read_text() for path in (tmp_path / "a").iterdir()}
    assert found == {"1": "x", "7": "a/7", "8": "y"}


def test_a_number_that_another_export_took_meanwhile_is_left_to_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("a/1")
    seen = iter([[], [1]])
    monkeypatch.setattr(versions, "_numbers", lambda _: next(seen))
    assert publish(made("x"), tmp_path / "a") == tmp_path / "a" / "2"
    assert (tmp_path / "a" / "1" / SAVED_MODEL).read_text() == "a/1"


def test_many_exports_at_once_get_a_number_each(made: Made, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    new = [made(f"new{number}") for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda path: publish(path, tmp_path / "a"), new))
    assert {path.name for path in places} == {str(number) for number in range(1, 41)}
    for path, place in zip(new, places, strict=True):
        assert (place / SAVED_MODEL).read_text() == path.name


def test_what_is_no_folder_of_versions_is_refused(made: Made, tmp_path: Path) -> None:
    require_versions(tmp_path / "none")
    (tmp_path / "empty" / ".export-killed").mkdir(parents=True)
    require_versions(tmp_path / "empty")
    made("a/1")
    (tmp_path / "a" / "model-settings.json").write_text("{}")
    require_versions(tmp_path / "a")
    with pytest.raises(
        SettingError, match=r"^out_dir: expected .* received .*a/1, .* model itself"
    ):
        require_versions(tmp_path / "a" / "1")
    (tmp_path / "file").write_text("")
    for other in ("file", ""):
        with pytest.raises(SettingError, match=r"which is something else; choose another folder"):
            require_versions(tmp_path / other)
