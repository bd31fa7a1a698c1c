"""Examples as tensors."""

import numpy as np
import tensorflow as tf

from tfrecords.reading.parsing import parse
from tfrecords.records import example
from tfrecords.records.views import Cut

RANDOM = np.random.default_rng(0)
STATISTICS = RANDOM.normal(size=(2, 6)).astype(np.float32)


def test_a_label_may_be_smaller_than_its_image() -> None:
    image = RANDOM.integers(-100, 100, (5, 7, 2)).astype(np.int16)
    label = RANDOM.integers(0, 200, (1, 3)).astype(np.uint8)
    serialised = example.encode("s", Cut(image, label, (0, 0, 0)), STATISTICS)
    parsed = parse(serialised, "int16", 2, 2)
    np.testing.assert_array_equal(parsed.image, image)
    np.testing.assert_array_equal(parsed.label, label)


def test_ranks_and_channels_are_known_in_the_graph() -> None:
    """Extents are not: they differ from subject to subject."""
    for rank in (2, 3):
        dataset = tf.data.Dataset.from_tensors(b"").map(lambda r, n=rank: parse(r, "uint16", n, 4))
        spec = dataset.element_spec
        assert spec.image.shape.as_list() == [None] * rank + [4]
        assert spec.label.shape.as_list() == [None] * rank
        assert spec.statistics.shape == (4, 6)
        assert (spec.image.dtype, spec.label.dtype) == (tf.uint16, tf.uint8)
