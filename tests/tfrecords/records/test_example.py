import numpy as np
import pytest

from tfrecords.reading.parsing import parse
from tfrecords.records import example
from tfrecords.records.views import Cut

RANDOM = np.random.default_rng(0)
STATISTICS = RANDOM.normal(size=(2, 6)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "float16"])
@pytest.mark.parametrize("shape", [(5, 4, 2), (3, 5, 4, 2)])
def test_what_is_encoded_is_parsed(dtype: str, shape: tuple[int, ...]) -> None:
    image = RANDOM.integers(-100, 100, shape).astype(dtype)
    label = RANDOM.integers(0, 200, shape[:-1]).astype(np.uint8)
    serialised = example.encode("sübject", Cut(image, label, (7, -25, -3)), STATISTICS)
    parsed = parse(serialised, dtype, len(shape) - 1, 2)
    assert parsed.image.dtype.name == dtype
    np.testing.assert_array_equal(parsed.image, image)
    np.testing.assert_array_equal(parsed.label, label)
    np.testing.assert_array_equal(parsed.statistics, STATISTICS)
    assert parsed.position.numpy().tolist() == [7, -25, -3]
    assert parsed.subject.numpy().decode() == "sübject"


def test_arrays_that_are_views_are_stored_in_their_own_order() -> None:
    image = np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(2, 1, 0)
    label = np.arange(12, dtype=np.uint8).reshape(3, 4).T
    serialised = example.encode("s", Cut(image, label, (0, 0, 0)), STATISTICS)
    parsed = parse(serialised, "int16", 2, 2)
    np.testing.assert_array_equal(parsed.image, image)
    np.testing.assert_array_equal(parsed.label, label)
