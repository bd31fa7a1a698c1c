"""Intensities as record sets hold them, and their statistics."""

import numpy as np
import pytest

from tfrecords.records.intensities import STATISTICS, foreground_statistics, halve


def test_statistics_of_the_numbers_to_a_hundred_and_one() -> None:
    image = np.zeros((5, 6, 7, 2), np.int16)
    image.reshape(-1, 2)[50:151, 0] = np.arange(1, 102)
    image.reshape(-1, 2)[:3, 1] = (-2, 2, 6)
    found = dict(zip(STATISTICS, foreground_statistics(image).T.tolist(), strict=True))
    assert found["mean"] == [51, 2]
    np.testing.assert_allclose(found["std"], [(101**2 - 1) ** 0.5 / 12**0.5, (32 / 3) ** 0.5])
    assert found["minimum"] == [1, -2]
    assert found["maximum"] == [101, 6]
    np.testing.assert_allclose(found["percentile_1"], [2, -1.92])
    np.testing.assert_allclose(found["percentile_99"], [100, 5.92])


def test_a_modality_of_zeros_has_zero_statistics() -> None:
    assert foreground_statistics(np.zeros((3, 3, 1), np.float16)).tolist() == [[0] * 6]


def test_sums_of_many_half_precision_values_do_not_overflow() -> None:
    found = foreground_statistics(np.full((60, 60, 60, 1), 30000, np.float16))
    assert found[0].tolist() == [30000, 0, 30000, 30000, 30000, 30000]


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
