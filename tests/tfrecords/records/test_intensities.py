"""Intensities as record sets hold them, and their statistics."""

import numpy as np
import pytest

from tfrecords.records.intensities import (
    STATISTICS,
    foreground_statistics,
    halve,
    storage_findings,
    stored,
)


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


def body(*values: float, dtype: type = np.float64) -> np.ndarray:
    """One modality of 100 voxels from 1 to 100, and these beside them."""
    return np.array([*range(1, 101), *values], dtype)[:, None]


@pytest.mark.parametrize(
    ("image", "dtype", "finding"),
    [
        (body(1e39), "float16", "a: 1 voxels are beyond float32, at most 3.4e+38"),
        (body(-1e39, 1e300), "float32", "a: 2 voxels are beyond float32"),
        (body(1e30), "float16", "a: 99% of the non-zero voxels become zero, which is background, "),
        (body() * 1e-300, "float16", "a: 100% of the non-zero voxels become zero"),
        (body() * 1e-300, "float32", "a: 100% of the non-zero voxels become zero"),
        (body() + 1e12, "float16", "a: the image is empty as float16 (all voxels are equal)"),
        (np.zeros((9, 1), np.int16), "float32", "a: the image is empty as float32"),
    ],
)
def test_what_storage_would_wipe_out_is_found(image: np.ndarray, dtype: str, finding: str) -> None:
    (found,), remarks = storage_findings(image, dtype, ["a"])
    assert found.startswith(finding)
    assert remarks == []


def test_only_the_modality_that_vanishes_is_accused() -> None:
    image = np.concatenate([body(), body() * 1e12], axis=-1)
    (found,), _ = storage_findings(image, "float16", ["a", "b"])
    assert found.startswith("a: 100% of the non-zero voxels become zero")
    assert "beside 1e+14 of b" in found


@pytest.mark.parametrize(("tiny", "remarked"), [(0, False), (1, False), (5, True), (90, True)])
def test_a_share_that_vanishes_is_remarked(tiny: int, remarked: bool) -> None:
    image = body(*[1e-12] * tiny)
    findings, remarks = storage_findings(image, "float16", ["a"])
    assert findings == []
    assert np.count_nonzero(stored(image, "float16")) == 100
    share = f"{tiny / (100 + tiny):.0%} of the non-zero voxels become zero"
    assert [name for name, text in remarks if text.startswith(share)] == ["a"] * remarked


def test_integers_are_stored_as_they_are() -> None:
    image = body(dtype=np.int16)
    assert storage_findings(image, "int16", ["a"]) == ([], [])
    assert stored(image, "int16") is image
