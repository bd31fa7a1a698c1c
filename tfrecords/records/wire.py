"""tf.train.Example and TFRecord framing, byte for byte as TensorFlow writes them, without it.

Importing TensorFlow costs a worker process seconds and 680 MB; encoding these two small formats
costs the lines below. Tests read the result back with TensorFlow.
"""

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import BinaryIO

import google_crc32c
import numpy as np

Feature = bytes | Sequence[int] | np.ndarray

_LENGTH_DELIMITED = 2
_CRC_MASK = 0xA282EAD8


@lru_cache(4096)
def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # Negative integers travel as two's complement.
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def _feature(value: Feature) -> bytes:
    """A tf.train.Feature: bytes_list = 1, float_list = 2, int64_list = 3."""
    if isinstance(value, bytes):
        return _field(1, _field(1, value))
    if isinstance(value, np.ndarray):
        return _field(2, _field(1, value.astype("<f4").tobytes()))
    return _field(3, _field(1, b"".join(map(_varint, value))))


def encode_example(features: Mapping[str, Feature]) -> bytes:
    """A serialised tf.train.Example, features in the order of their names.

    Args:
        features: bytes, integers, or a float array (flattened).
    """
    entries = (
        _field(1, _field(1, name.encode()) + _field(2, _feature(features[name])))
        for name in sorted(features)
    )
    return _field(1, b"".join(entries))


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _CRC_MASK) & 0xFFFFFFFF)


def frame(record: bytes) -> bytes:
    """A record as it stands in a TFRecord file: length, its checksum, data, its checksum."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _masked_crc(length), record, _masked_crc(record)))


def record_starts(path: str) -> list[int]:
    """Where each record of a TFRecord file begins, in bytes; only lengths are read.

    Raises:
        ValueError: one of these is damaged.
    """
    starts, start = [], 0
    with open(path, "rb", buffering=0) as file:
        while header := os.pread(file.fileno(), 12, start):
            starts.append(start)
            start += 16 + _length(header)
    return starts


def _length(header: bytes) -> int:
    if len(header) < 12 or _masked_crc(header[:8]) != header[8:]:
        raise ValueError("a record's length is damaged")
    return int(struct.unpack("<Q", header[:8])[0])


def read_frames(file: BinaryIO) -> Iterator[bytes]:
    """The records of a TFRecord file. Raises ValueError where it is damaged."""
    while header := file.read(12):
        record = file.read(_length(header))
        if _masked_crc(record) != file.read(4):
            raise ValueError("a record is damaged")
        yield record


def bytes_feature(example: bytes, name: str) -> bytes:
    """A feature of bytes in a serialised tf.train.Example.

    Raises:
        KeyError: there is none of this name.
        ValueError: no such message.
    """
    for _, features in _fields(memoryview(example)):
        for _, entry in _fields(features):
            parts = dict(_fields(entry))
            if bytes(parts.get(1, b"")) == name.encode():
                value = dict(_fields(parts.get(2, memoryview(b""))))
                return bytes(dict(_fields(value[1]))[1])
    raise KeyError(name)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each length-delimited field of a message that has no others."""
    place = 0
    while place < len(message):
        tag, place = _read_varint(message, place)
        length, place = _read_varint(message, place)
        if tag & 7 != _LENGTH_DELIMITED or place + length > len(message):
            raise ValueError("expected length-delimited fields")
        yield tag >> 3, message[place : place + length]
        place += length


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number at a place, and the place after it."""
    value = shift = 0
    while place < len(message):
        value |= (message[place] & 0x7F) << shift
        shift += 7
        place += 1
        if message[place - 1] < 0x80:
            return value, place
    raise ValueError("a number ends early")
