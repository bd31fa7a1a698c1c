"""Exceptions that speak to users."""

from tfrecords.errors import SettingError, UserError


def test_a_setting_is_named_apart_from_what_is_wrong_with_it() -> None:
    """So that a flag and an entry of a file can spell it their own way."""
    error = SettingError("hp.width", "expected at least 1, received 0")
    assert isinstance(error, UserError)
    assert (error.setting, error.reason) == ("hp.width", "expected at least 1, received 0")
    assert str(error) == "hp.width: expected at least 1, received 0"
