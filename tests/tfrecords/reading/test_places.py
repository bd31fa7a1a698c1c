"""Single examples of shards, read where they lie."""

from pathlib import Path

import pytest
import tensorflow as tf

from tfrecords.reading.places import Places
from tfrecords.reading.record_set import RecordSet, open_record_set
from tfrecords.records.manifest import Shard
from tfrecords.records.wire import record_starts


def slices(records: RecordSet) -> list[Shard]:
    return list(records.manifest.select("slices", records.manifest.folds))


def test_every_example_is_what_tensorflow_reads(records: RecordSet) -> None:
    shards = slices(records)
    places = Places(records, shards)
    expected = list(tf.data.TFRecordDataset(records.paths(shards)).as_numpy_iterator())
    numbers = tf.data.Dataset.range(len(expected))
    assert list(numbers.map(places.read).as_numpy_iterator()) == expected
    assert len(expected) == sum(shard.examples for shard in shards) > len(shards) > 1


def test_an_example_that_nobody_asks_for_is_not_read(copy: Path) -> None:
    """Its content is damaged, which reading it finds."""
    records = open_record_set(copy)
    shards = slices(records)
    path = Path(records.paths(shards)[0])
    content = bytearray(path.read_bytes())
    content[record_starts(str(path))[1] + 20] ^= 1
    path.write_bytes(content)
    places = Places(records, shards)
    for number in (0, 2):
        places.read(tf.constant(number, tf.int64))
    with pytest.raises(tf.errors.DataLossError):
        places.read(tf.constant(1, tf.int64))


def test_a_shard_that_is_gone_cut_or_damaged_is_named(copy: Path) -> None:
    records = open_record_set(copy)
    shards = slices(records)
    path = Path(records.paths(shards)[0])
    whole = path.read_bytes()
    second = record_starts(str(path))[1]
    for content in (whole[:second], whole[: second + 5], b"x" + whole[1:]):
        path.write_bytes(content)
        with pytest.raises(tf.errors.DataLossError, match=path.name):
            Places(records, shards)
    path.unlink()
    with pytest.raises(tf.errors.DataLossError, match=path.name):
        Places(records, shards)
