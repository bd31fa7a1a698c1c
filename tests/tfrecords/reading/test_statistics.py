"""Statistics in the graph, to the bit those that preprocessing writes."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfrecords.reading.statistics import Two, extremes, moments, percentiles
from tfrecords.records.intensities import STATISTICS, foreground_statistics

MANY = 200_001  # Of which the percentiles' sample is every thirteenth.
Values = Callable[[np.random.Generator, int], np.ndarray]
KINDS: dict[str, Values] = {
    "normal": lambda random, n: random.normal(100, 30, n),
    "ties": lambda random, n: np.rint(random.normal(10, 3, n)),
    "both signs": lambda random, n: random.normal(0, 30, n),
    "negative, far outliers": lambda random, n: -np.exp(random.normal(0, 3, n)),
    "sorted": lambda random, n: np.sort(random.normal(100, 30, n)),
    "constant": lambda random, n: np.full(n, 7.0),
    "mostly zero": lambda random, n: random.normal(100, 30, n) * (random.random(n) > 0.99),
    "zero": lambda random, n: np.zeros(n),
}


def found(function: Callable[[tf.Tensor], Two], values: np.ndarray) -> np.ndarray:
    signature = [tf.TensorSpec([None], tf.float32)]
    first, second = tf.function(function, autograph=False, input_signature=signature)(values)
    return np.array([first, second], np.float32)


def numpys(values: np.ndarray, *names: str) -> np.ndarray:
    return foreground_statistics(values[:, None])[0][[STATISTICS.index(name) for name in names]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("voxels", [1, 2, 3, 50, 51, 99, 100, 101, 102, 150, 201, MANY])
def test_statistics_are_numpys(kind: str, voxels: int) -> None:
    values = KINDS[kind](np.random.default_rng(voxels), voxels).astype(np.float32)
    np.testing.assert_array_equal(
        found(percentiles, values), numpys(values, "percentile_1", "percentile_99")
    )
    np.testing.assert_array_equal(found(extremes, values), numpys(values, "minimum", "maximum"))
    np.testing.assert_allclose(found(moments, values), numpys(values, "mean", "std"), rtol=2e-7)


def test_a_few_of_many_voxels_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    sort, sizes = tf.sort, []

    def spy(values: tf.Tensor) -> tf.Tensor:
        sizes.append(int(tf.size(values)))
        return sort(values)

    monkeypatch.setattr(tf, "sort", spy)
    percentiles(tf.random.stateless_normal([MANY], [0, 1]))
    assert len(sizes) == 2
    assert sizes[0] == -(-MANY // 13)
    assert 0.025 * MANY < sizes[1] < 0.035 * MANY


def test_a_sample_that_misleads_changes_nothing() -> None:
    """The voxels that it sees lie farther out than the percentiles of all."""
    random = np.random.default_rng(0)
    values = random.normal(10, 1, MANY).astype(np.float32)
    values[::13] = random.uniform(-1000, 1000, len(values[::13]))
    np.testing.assert_array_equal(
        found(percentiles, values), numpys(values, "percentile_1", "percentile_99")
    )
