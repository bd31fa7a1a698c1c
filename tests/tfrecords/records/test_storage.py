"""Intensities as record sets hold them."""

import numpy as np
import pytest

from tfrecords.records.storage import halve


@pytest.mark.parametrize(
    ("largest", "factor"),
    [
        (0.0, 1),
        (1e-9, 2**-44),
        (1.0, 2**-15),
        (16384.0, 2**-1),
        (32768.0, 1),
        (32769.0, 2),
        (65536.0, 2),
        (65537.0, 4),
        (-7e4, 4),
        (1.5e6, 64),
    ],
)
def test_halving_divides_by_the_smallest_power_of_two_that_fits(
    largest: float, factor: float
) -> None:
    image = np.array([0.0, largest / 3, largest], np.float32)
    halved = halve(image)
    assert halved.dtype == np.float16
    assert np.isfinite(halved).all()
    np.testing.assert_array_equal(halved, (image / factor).astype(np.float16))
    np.testing.assert_allclose(halved.astype(np.float64) * factor, image, rtol=2**-11)


def test_halving_is_exact_where_float16_is() -> None:
    integers = np.random.default_rng(0).integers(-2048, 2049, (5, 6, 7, 2))
    integers[0, 0, 0, 0] = 2048
    for power in range(10):
        image = integers.astype(np.float64) * 2**power
        factor = 2.0 ** (power - 4)
        np.testing.assert_array_equal(halve(image).astype(np.float64) * factor, image)
