"""Sizes of perturbations, in closed form."""

import numpy as np
import pytest

from tfadv.evaluation.norms import NORMS, Norm

SLOPE = np.array([3.0, 0.0, -4.0, 0.0])
RMS, MAX = NORMS["adversarial_rms"], NORMS["adversarial_max"]


def test_the_steepest_perturbation_of_a_size() -> None:
    """Hoelder: of root mean square 1 along the slope, of the largest value 1 its signs."""
    np.testing.assert_allclose(RMS.steepest(SLOPE), SLOPE / 2.5)
    np.testing.assert_array_equal(MAX.steepest(SLOPE), [1, 0, -1, 0])
    np.testing.assert_allclose(RMS.steepest(1e-30 * SLOPE), SLOPE / 2.5)


@pytest.mark.parametrize("norm", NORMS.values())
def test_where_it_is_flat_there_is_no_direction(norm: Norm) -> None:
    np.testing.assert_array_equal(norm.steepest(np.zeros(3)), np.zeros(3))


def test_what_is_too_large_comes_back_to_the_nearest() -> None:
    np.testing.assert_allclose(RMS.within(SLOPE, 1.25), SLOPE / 2)
    np.testing.assert_allclose(RMS.within(SLOPE, 9.0), SLOPE)
    np.testing.assert_array_equal(MAX.within(SLOPE, 2.0), [2, 0, -2, 0])
    np.testing.assert_array_equal(RMS.within(np.zeros(3), 1.0), np.zeros(3))


def test_random_ones_are_as_large_as_allowed() -> None:
    drawn = [norm.drawn(np.random.default_rng(0), 1000) for norm in (RMS, MAX)]
    assert np.sqrt(np.mean(drawn[0] ** 2)) == pytest.approx(1)
    assert abs(drawn[0].mean()) < 0.1
    assert set(drawn[1]) == {-1.0, 1.0}
