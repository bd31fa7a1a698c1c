import numpy as np

from tfrecords.records.statistics import STATISTICS, foreground_statistics


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
