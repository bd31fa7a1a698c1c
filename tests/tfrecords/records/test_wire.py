"""What is written without TensorFlow is what TensorFlow reads, and what it would have written."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrecords.records.wire import (
    Feature,
    bytes_feature,
    encode_example,
    frame,
    read_frames,
    record_starts,
)

# Lengths on both sides of where a length takes one more byte.
LENGTHS = (0, 1, 127, 128, 129, 16383, 16384, 16385, 300_000)
INTEGERS = (0, 1, -1, 127, 128, -300, 2**31, 2**63 - 1, -(2**63))
FLOATS = np.array([0.0, -0.0, 1.5, -2.25e-30, 3.4e38, np.inf], np.float32)


def tensorflows_example(features: dict[str, tf.train.Feature]) -> tf.train.Example:
    return tf.train.Example(features=tf.train.Features(feature=features))


def test_example_is_byte_for_byte_tensorflows() -> None:
    blob = bytes(range(256)) * 80
    features: dict[str, Feature] = {
        "blob": blob,
        "integers": INTEGERS,
        "floats": FLOATS,
        "name": b"s\xc3\xa9",
    }
    expected = tensorflows_example(
        {
            "blob": tf.train.Feature(bytes_list=tf.train.BytesList(value=[blob])),
            "integers": tf.train.Feature(int64_list=tf.train.Int64List(value=INTEGERS)),
            "floats": tf.train.Feature(float_list=tf.train.FloatList(value=FLOATS)),
            "name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"s\xc3\xa9"])),
        }
    )
    assert encode_example(features) == expected.SerializeToString(deterministic=True)


@pytest.mark.parametrize("length", LENGTHS)
def test_bytes_of_any_length_come_back(length: int) -> None:
    value = np.random.default_rng(length).bytes(length)
    example = tf.train.Example.FromString(encode_example({"value": value}))
    assert list(example.features.feature) == ["value"]
    assert list(example.features.feature["value"].bytes_list.value) == [value]


def test_integers_and_floats_come_back() -> None:
    many = list(range(-3000, 3000))
    features: dict[str, Feature] = {
        "integers": INTEGERS,
        "many": many,
        "floats": FLOATS,
        "matrix": FLOATS.reshape(2, 3),
    }
    example = tf.train.Example.FromString(encode_example(features))
    assert tuple(example.features.feature["integers"].int64_list.value) == INTEGERS
    assert list(example.features.feature["many"].int64_list.value) == many
    for name in ("floats", "matrix"):
        values = np.array(example.features.feature[name].float_list.value, np.float32)
        assert values.tobytes() == FLOATS.tobytes()


def test_empty_values_and_no_features_come_back() -> None:
    assert not tf.train.Example.FromString(encode_example({})).features.feature
    example = tf.train.Example.FromString(
        encode_example({"bytes": b"", "floats": np.zeros(0, np.float32), "integers": ()})
    ).features.feature
    assert list(example["bytes"].bytes_list.value) == [b""]
    assert example["floats"].WhichOneof("kind") == "float_list"
    assert example["integers"].WhichOneof("kind") == "int64_list"
    assert not example["floats"].float_list.value
    assert not example["integers"].int64_list.value


def test_parse_single_example_reads_every_kind() -> None:
    serialised = encode_example(
        {"blob": b"ab" * 9000, "integers": INTEGERS, "matrix": FLOATS.reshape(2, 3)}
    )
    parsed = tf.io.parse_single_example(
        serialised,
        {
            "blob": tf.io.FixedLenFeature([], tf.string),
            "integers": tf.io.FixedLenFeature([len(INTEGERS)], tf.int64),
            "matrix": tf.io.FixedLenFeature([2, 3], tf.float32),
        },
    )
    assert parsed["blob"].numpy() == b"ab" * 9000
    assert tuple(parsed["integers"].numpy()) == INTEGERS
    np.testing.assert_array_equal(parsed["matrix"], FLOATS.reshape(2, 3))


def test_framed_records_are_byte_for_byte_tensorflows_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    records = [random.bytes(length) for length in LENGTHS]
    ours, theirs = tmp_path / "ours.tfrecord", tmp_path / "theirs.tfrecord"
    ours.write_bytes(b"".join(map(frame, records)))
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for record in records:
            writer.write(record)
    assert ours.read_bytes() == theirs.read_bytes()
    assert list(tf.data.TFRecordDataset(str(ours)).as_numpy_iterator()) == records


def test_frames_and_features_are_read_back() -> None:
    examples = [
        encode_example({"image": bytes(1000), "shape": (3, -1), "subject": name, "x": np.ones(2)})
        for name in (b"s0", b"", b"s" * 300)
    ]
    file = io.BytesIO(b"".join(map(frame, examples)))
    read = list(read_frames(file))
    assert read == examples
    assert [bytes_feature(example, "subject") for example in read] == [b"s0", b"", b"s" * 300]
    with pytest.raises(KeyError):
        bytes_feature(read[0], "subjects")


def test_starts_of_records_are_found_without_their_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(frame(b"four") + frame(b"") + frame(bytes(300)))
    assert record_starts(str(path)) == [0, 20, 36]
    path.write_bytes(b"")
    assert record_starts(str(path)) == []


def test_a_damaged_byte_of_a_frame_is_found() -> None:
    whole = frame(encode_example({"subject": b"s0"}))
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        with pytest.raises(ValueError, match="is damaged"):
            list(read_frames(io.BytesIO(damaged)))
