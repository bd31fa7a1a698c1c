"""Single examples, read from where they lie, for workers that prepare a part of each batch.

A TFRecord file has no table of contents; before each record stands how long it is.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from tfrecords.reading.record_set import RecordSet
from tfrecords.records.manifest import Shard
from tfrecords.records.wire import record_starts

READERS = 32  # They wait for the file system, not for a processor.


class Places:
    """Where the examples of some shards lie, numbered through.

    Raises:
        tf.errors.DataLossError: a shard is gone or damaged; `record_set.damage_named` finds it.
    """

    def __init__(self, records: RecordSet, shards: Sequence[Shard]) -> None:
        paths = records.paths(shards)
        with ThreadPoolExecutor(READERS) as pool:
            starts = list(pool.map(_starts, paths, [shard.examples for shard in shards]))
        self._paths = tf.constant(paths)
        self._shards = tf.constant(np.repeat(np.arange(len(paths)), list(map(len, starts))))
        self._starts = tf.constant(np.concatenate(starts), tf.int64)

    def read(self, number: tf.Tensor) -> tf.Tensor:
        """An example, serialised; its checksum is compared."""
        opened = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.gather(self._paths, tf.gather(self._shards, number))[None],
            compression_type="",
            buffer_size=0,
            byte_offsets=tf.gather(self._starts, number)[None],
        )
        records = tf.data.experimental.from_variant(opened, tf.TensorSpec([], tf.string))
        return records.take(1).get_single_element()


def _starts(path: str, examples: int) -> list[int]:
    try:
        found = record_starts(path)
    except (OSError, ValueError) as error:
        raise tf.errors.DataLossError(None, None, f"{path}: {error}") from error
    if len(found) != examples:
        raise tf.errors.DataLossError(None, None, f"{path}: {len(found)} records of {examples}")
    return found
