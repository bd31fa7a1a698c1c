"""Values of a study file's entries, in the words of the errors."""

import pytest
from pydantic import TypeAdapter, ValidationError

from tfadv.study.entries import (
    FolderName,
    FoldNames,
    Fractions,
    Hyperparameters,
    Seeds,
    Title,
    faults,
)


def refusal(kind: object, value: object) -> str:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(kind).validate_python(value)
    return faults(error.value)


def test_what_fits_is_kept() -> None:
    assert TypeAdapter(Seeds).validate_python([3, 0]) == (3, 0)
    assert TypeAdapter(Fractions).validate_python([1, 0.5]) == (1.0, 0.5)
    assert TypeAdapter(FolderName).validate_python("β = 2, no noise") == "β = 2, no noise"
    hp = {"epochs": 1, "shift": 0.0, "shuffled": False}
    assert TypeAdapter(Hyperparameters).validate_python(hp) == hp


def test_refusals_say_what_was_expected_and_received() -> None:
    assert "expected different ones, received 3 several times" in refusal(Seeds, [3, 0, 3])
    assert "received 0.333333 several times" in refusal(Fractions, [0.33333331, 0.33333332])
    assert "name of 1 to 100 bytes" in refusal(FolderName, 51 * "ä")
    assert "that a file can have, without any of / \\, " in refusal(FolderName, "a/b")
    assert "whole number of at least 1, received True" in refusal(Hyperparameters, {"epochs": True})


def test_a_list_of_wrong_entries_is_not_called_too_short() -> None:
    told = refusal(FoldNames, ["../x"])
    assert told.startswith("0: expected a name")
    assert "at least 1 item" not in told
    assert "at least 1 item" in refusal(FoldNames, [])


def test_a_title_is_a_line() -> None:
    for title in ("", " ", "a\nb"):
        assert "expected a line of text, received" in refusal(Title, title)


def test_all_faults_stand_in_one_line() -> None:
    told = refusal(dict[FolderName, Seeds], {"a\nb": [0], "c": [0, -1]})
    assert "\n" not in told
    assert told.startswith("'a\\nb': expected a name")
    assert "; c.1: Input should be greater than or equal to 0" in told
