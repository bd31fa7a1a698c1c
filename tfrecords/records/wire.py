"""tf.train.Example and TFRecord framing, byte for byte as TensorFlow writes them, without it.

Importing TensorFlow costs a worker process seconds and 680 MB; encoding these two small formats
costs the lines below. Tests read the result back with TensorFlow.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache

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
