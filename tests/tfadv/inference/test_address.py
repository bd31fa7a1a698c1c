"""Addresses of served models."""

import pytest

from tfadv.inference.address import Address
from tfrecords.errors import SettingError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grpc://localhost:8081/a", Address("grpc", "localhost:8081", "a")),
        ("http://h.example:80/a_b/12", Address("http", "h.example:80", "a_b", "12")),
        ("grpcs://[::1]:1/x/", Address("grpcs", "[::1]:1", "x")),
    ],
)
def test_addresses_are_read_and_written(text: str, expected: Address) -> None:
    assert Address.parse(text) == expected
    assert str(expected) == text.rstrip("/")
    assert expected.encrypted == text.startswith("grpcs")


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("localhost:1", True),
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("localhost.example:1", False),
    ],
)
def test_what_is_near_is_this_machine(host: str, near: bool) -> None:
    assert Address("grpc", host, "a").near == near


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost:8081/a", "ftp://h:1/a", "grpc://h/a", "grpc://h:1", "grpc://h:1/"),
        *("grpc://:1/a", "grpc://h:port/a", "grpc://h:99999/a", "grpc://h:1/a/latest"),
        *(
            "grpc://h:1/a/0",
            "grpc://h:1/a/1/b",
            "grpc://u@h:1/a",
            "http://h:1/a?b",
            "http://[h:1/a",
        ),
    ],
)
def test_what_is_none_is_one_line(text: str) -> None:
    with pytest.raises(SettingError, match=r"^server: expected grpc://HOST:PORT/NAME, .* received"):
        Address.parse(text)
