"""Exceptions that speak to users."""

import pickle
from pathlib import Path

import pytest

from tfrecords.errors import SettingError, UserError, about


def test_a_setting_is_named_apart_from_what_is_wrong_with_it() -> None:
    """So that a flag and an entry of a file can spell it their own way."""
    error = SettingError("hp.width", "expected at least 1, received 0")
    assert isinstance(error, UserError)
    assert (error.setting, error.reason) == ("hp.width", "expected at least 1, received 0")
    assert str(error) == "hp.width: expected at least 1, received 0"


def test_a_worker_can_send_it() -> None:
    error = pickle.loads(pickle.dumps(SettingError("hp.width", "expected at least 1")))
    assert (type(error), error.setting, error.reason) == (
        SettingError,
        "hp.width",
        "expected at least 1",
    )


def test_what_is_wrong_with_a_file_names_it() -> None:
    with (
        pytest.raises(UserError, match=r"^a/b\.csv: labels: expected others$"),
        about(Path("a/b.csv")),
    ):
        raise SettingError("labels", "expected others")
