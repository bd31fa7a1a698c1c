"""What is known without TensorFlow is what is known with it."""

from pathlib import Path

import pytest

from tfadv import methods
from tfadv.programs import early
from tfrecords.errors import SettingError, UserError


def test_names_of_methods_are_read_as_they_are() -> None:
    assert sorted(early.method_names()) == sorted(methods.all_methods())


def test_an_unknown_method_is_refused_with_the_one_that_may_be_meant() -> None:
    early.require_method("segan_s3_3c")
    with pytest.raises(SettingError, match=r"^method: expected one of .*, received segan_s3c\. "):
        early.require_method("segan_s3c")
    with pytest.raises(SettingError, match=r"received unet$"):
        early.require_method("unet")


def test_the_first_path_where_there_is_nothing_is_named(tmp_path: Path) -> None:
    early.require_there("a file", tmp_path)
    with pytest.raises(UserError, match=r"/b: no such file or folder; expected a file$"):
        early.require_there("a file", tmp_path, tmp_path / "b", tmp_path / "c")
