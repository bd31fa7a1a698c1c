"""Which names files can have."""

import pytest

from tfrecords.names import differences, name_fault, repeated, shortened


@pytest.mark.parametrize(
    "name", ["p01", "β = 2, no noise", "1.3.6.1", "a..b", 100 * "a", 50 * "ä", "NA", "a:b"]
)
def test_names_that_files_can_have(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a ",
        ".",
        "..",
        ".a",
        "-a",
        "../../x",
        "/tmp/x",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\udc80",
        101 * "a",
        51 * "ä",
        300 * "a",
        None,
        1,
    ],
)
def test_names_that_leave_their_folder_or_are_no_files(name: object) -> None:
    fault = name_fault(name)
    assert fault
    assert "expected a name of 1 to 100 bytes" in fault
    assert len(fault) < 320
    assert fault.isprintable()


def test_other_characters_are_left_out_on_demand() -> None:
    assert name_fault("a:b") is None
    assert "without any of / \\ , :, and" in str(name_fault("a:b", ",:"))


def test_repeated() -> None:
    assert repeated([2, 1, 2, 3, 1, 2]) == [2, 1]
    assert repeated([]) == []


def test_a_few_names_and_how_many_more() -> None:
    assert shortened(["a"]) == "a"
    assert shortened(list("abcde")) == "a, b, c, d, e"
    assert shortened(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_differences_are_named_with_both_values() -> None:
    wanted, found = {"a": 1, "b": (2, 3), "c": None}, {"a": 1, "b": (2, 4), "d": "x"}
    assert differences(wanted, found) == "b: (2, 3) and (2, 4); d: None and x"
    assert differences(wanted, wanted) == ""
