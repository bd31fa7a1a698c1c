import numpy as np
import pytest
import tensorflow as tf

from tfrecords.reading.normalisation import (
    SCHEMES,
    as_stored,
    foreground_statistics,
    normalise,
    stored_statistics,
)
from tfrecords.records import intensities
from tfrecords.records.intensities import halve

RANDOM = np.random.default_rng(0)


@pytest.fixture
def image() -> np.ndarray:
    """[Z, Y, X, C]: a third background; one modality skewed, one of both signs, one empty."""
    image = np.stack(
        [
            RANDOM.gamma(2.0, 300.0, (9, 8, 7)),
            RANDOM.normal(-20.0, 50.0, (9, 8, 7)),
            np.zeros((9, 8, 7)),
        ],
        axis=-1,
    ).astype(np.float32)
    image[:3] = 0
    return image


def stored(image: np.ndarray, scheme: str) -> tf.Tensor:
    return stored_statistics(tf.constant(intensities.foreground_statistics(image)), scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("graph", [False, True])
def test_statistics_of_a_volume_are_those_of_its_record(
    image: np.ndarray, scheme: str, graph: bool
) -> None:
    def computed(volume: tf.Tensor) -> tf.Tensor:
        return foreground_statistics(volume, scheme)

    found = (tf.function(computed, autograph=False) if graph else computed)(tf.constant(image))
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, stored(image, scheme), rtol=1e-6)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize(
    "largest", [0.0, 1e-9, 1.0, 16384.0, 32768.0, 32769.0, 65536.0, 1e5, 1.5e6]
)
def test_a_served_volume_is_what_a_record_set_would_hold(largest: float, graph: bool) -> None:
    volume = RANDOM.uniform(-largest, largest, (4, 5, 6, 2)).astype(np.float32)
    volume[0, 0, 0, 0] = -largest

    def rounded(volume: tf.Tensor) -> tf.Tensor:
        return as_stored(volume, "float16")

    found = (tf.function(rounded, autograph=False) if graph else rounded)(tf.constant(volume))
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, halve(volume).astype(np.float32))


def test_served_integers_stay_as_they_are() -> None:
    volume = tf.constant(RANDOM.integers(0, 60000, (3, 4, 5, 1)).astype(np.float32))
    for dtype in ("int16", "uint16", "int32"):
        np.testing.assert_array_equal(as_stored(volume, dtype), volume)


def normalised(image: np.ndarray, scheme: str) -> np.ndarray:
    found = normalise(tf.constant(image), stored(image, scheme), scheme)
    assert found.dtype == tf.float32
    return found.numpy()


def test_z_score_has_mean_0_and_deviation_1_in_the_foreground(image: np.ndarray) -> None:
    found = normalised(image, "z_score")[image[..., 0] != 0]
    np.testing.assert_allclose(found[:, :2].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found[:, :2].std(axis=0), 1, atol=1e-5)


def test_closed_forms() -> None:
    image = np.array([0, 2, 4, 6, 10], np.float32)[:, None]
    foreground = image[1:, 0].astype(np.float64)
    z_score = (foreground - 5.5) / np.sqrt(8.75)
    np.testing.assert_allclose(normalised(image, "z_score")[:, 0], [0, *z_score], rtol=1e-6)
    np.testing.assert_allclose(normalised(image, "min_max")[:, 0], [0, 0, 0.25, 0.5, 1], rtol=1e-6)
    # The percentiles 1 and 99 lie 3 hundredths of a step inside: at 2.06 and 9.88.
    clipped = [0, 0, (4 - 2.06) / 7.82, (6 - 2.06) / 7.82, 1]
    np.testing.assert_allclose(
        normalised(image, "percentile_min_max")[:, 0], clipped, rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_background_and_padding_stay_zero(image: np.ndarray, scheme: str) -> None:
    found = normalised(image, scheme)
    assert not found[image == 0].any()
    assert np.isfinite(found).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_padding_changes_nothing_inside(image: np.ndarray, scheme: str) -> None:
    padded = np.pad(image, ((1, 2), (3, 4), (5, 6), (0, 0)))
    inside = normalised(padded, scheme)[1:-2, 3:-4, 5:-6]
    np.testing.assert_array_equal(inside, normalised(image, scheme))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("gain", [0.25, 3.7, 1024.0])
def test_the_sources_gain_does_not_matter(image: np.ndarray, scheme: str, gain: float) -> None:
    louder = normalised((image * gain).astype(np.float32), scheme)
    np.testing.assert_allclose(louder, normalised(image, scheme), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scheme", ["min_max", "percentile_min_max"])
def test_min_max_ranges_from_0_to_1(image: np.ndarray, scheme: str) -> None:
    found = normalised(image, scheme)[..., :2]
    np.testing.assert_allclose((found.min(), found.max()), (0, 1), atol=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_constant_foreground_becomes_zero_not_nan(scheme: str) -> None:
    image = np.zeros((4, 4, 1), np.float32)
    image[1:3] = 7
    assert not normalised(image, scheme).any()


def test_stored_types_give_what_floats_give(image: np.ndarray) -> None:
    whole = np.rint(image)
    numbers = stored(whole, "z_score")
    from_int16 = normalise(tf.constant(whole.astype(np.int16)), numbers, "z_score")
    np.testing.assert_array_equal(from_int16, normalise(tf.constant(whole), numbers, "z_score"))


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scheme: expected one of .*z_score.*scheme=gauss"):
        stored_statistics(tf.zeros([1, 6]), "gauss")
