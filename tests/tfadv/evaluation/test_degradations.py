"""Degradations against closed forms and SciPy."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfadv.evaluation import degradations
from tfadv.evaluation.degradations import CLEAN, DEGRADATIONS, degrade
from tfrecords.reading.normalisation import as_stored
from tfrecords.reading.record_set import SubjectVolume

SPACING_MM = (2.0, 1.0, 0.5)


def random_image(shape: tuple[int, ...] = (10, 40, 36), dtype: type = np.int16) -> np.ndarray:
    """Two modalities of different spread [Z, Y, X, 2], half of their voxels zero."""
    random = np.random.default_rng(0)
    image = random.normal((1000, 2000), (40, 400), (*shape, 2)) * (random.random((*shape, 1)) < 0.5)
    return image.astype(dtype)


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("strength", [0.1, 0.4])
def test_noise_is_a_share_of_each_modalitys_standard_deviation(strength: float) -> None:
    image = random_image((20, 60, 60), np.float64)
    added = degradations.noise(image, strength, generator(), SPACING_MM) - image
    for modality, std in enumerate((40, 400)):
        assert added[..., modality].std() == pytest.approx(strength * std, rel=0.02)
        assert abs(added[..., modality].mean()) < 0.02 * strength * std
    assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.02


def test_noise_of_a_modality_of_zeros_is_none() -> None:
    image = random_image(dtype=np.float64) * (0, 1)
    noisy = degradations.noise(image, 0.4, generator(), SPACING_MM)
    assert not noisy[..., 0].any()
    assert np.isfinite(noisy).all()


@pytest.mark.parametrize("strength", [0.2, 0.8])
def test_bias_field_is_a_gain_whose_logarithm_is_a_cubic(strength: float) -> None:
    image = np.full((9, 14, 11, 2), 250.0)
    gain = degradations.bias_field(image, strength, generator(), SPACING_MM) / 250
    for modality in (0, 1):
        assert gain[..., modality].max() == pytest.approx(math.exp(strength))
        assert gain[..., modality].min() == pytest.approx(math.exp(-strength))
    for axis in range(3):
        assert np.abs(np.diff(np.log(gain), 3, axis=axis)).max() > 1e-4 * strength
        np.testing.assert_allclose(np.diff(np.log(gain), 4, axis=axis), 0, atol=1e-12)
    assert np.ptp(gain[..., 0] - gain[..., 1]) > 0.1 * strength


def test_mixed_terms_of_the_field_end_at_order_three() -> None:
    """Two differences along each of two axes would leave a term of order four."""
    field = degradations.polynomial_field((9, 14, 11), generator())
    for first, second in ((0, 1), (0, 2), (1, 2)):
        mixed = np.diff(np.diff(field, 2, axis=first), 1, axis=second)
        assert np.abs(mixed).max() > 1e-5
        np.testing.assert_allclose(np.diff(mixed, 1, axis=second), 0, atol=1e-12)


def test_blur_is_scipys_with_sigma_in_voxels_of_each_axis() -> None:
    image = random_image(dtype=np.float64)
    blurred = degradations.blur(image, 1.5, generator(), SPACING_MM)
    for modality in (0, 1):
        expected = image[..., modality]
        for axis, sigma in enumerate((0.75, 1.5, 3.0)):
            expected = ndimage.gaussian_filter1d(expected, sigma, axis, mode="nearest")
        np.testing.assert_allclose(blurred[..., modality], expected)


def test_blurs_width_is_in_millimetres() -> None:
    """The variance of a blurred point is sigma squared along each axis."""
    point = np.zeros((21, 31, 61, 1))
    point[10, 15, 30] = 1
    blurred = degradations.blur(point, 2.0, generator(), SPACING_MM)[..., 0]
    for axis, (extent, size_mm) in enumerate(zip(blurred.shape, SPACING_MM, strict=True)):
        offset_mm = (np.arange(extent) - extent // 2) * size_mm
        profile = blurred.sum(axis=tuple({0, 1, 2} - {axis}))
        assert (profile * offset_mm**2).sum() == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float16])
def test_zeros_stay_and_others_stay_off_zero(name: str, dtype: type) -> None:
    """Values so small that noise, gain and blur would round or clip many to zero."""
    least = 1 if np.issubdtype(dtype, np.integer) else 1e-5
    signs = [1] if dtype is np.uint8 else [-1, 1]
    random = np.random.default_rng(0)
    image = random.choice(
        [0, *(sign * least * n for sign in signs for n in (1, 2))], (8, 20, 20, 2)
    )
    image = image.astype(dtype)
    degradation = DEGRADATIONS[name]
    for strength in degradation.strengths:
        found = degrade(image, degradation.apply, strength, generator(), SPACING_MM)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found == 0, image == 0)
    assert (found != image).any()  # The strongest.


def test_what_would_be_zero_becomes_the_least_number_of_its_sign() -> None:
    for dtype, least in ((np.int16, 1), (np.float16, 2.0**-14)):
        image = np.array([[[[5], [-5], [0]]]], dtype)
        found = degrade(image, lambda exact, *_: exact * 1e-6, 0.1, generator(), SPACING_MM)
        np.testing.assert_array_equal(found.ravel(), [least, -least, 0])


def test_least_numbers_survive_what_the_predictor_stores() -> None:
    """Beside the largest half, which makes it halve the image."""
    image = np.array([[[[6e-8], [6e4]]]], np.float16)
    found = degrade(image, lambda exact, *_: exact, 0.1, generator(), SPACING_MM)
    assert (as_stored(tf.constant(found.astype(np.float32)), "float16").numpy() != 0).all()


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.int16, [3, 4, -3, 30000, -30000], [5, 6, -5, 32767, -32768]),
        (np.uint8, [1, 3, 100, 200, 255], [2, 5, 160, 255, 255]),
        (np.float16, [0.5, 3, 1024, 60000, -60000], [0.8, 4.8, 1638.4, 65504, -65504]),
    ],
)
def test_values_are_rounded_and_clipped_to_the_stored_type(
    dtype: type, values: list[float], expected: list[float]
) -> None:
    image = np.array(values, dtype).reshape(1, 1, -1, 1)
    found = degrade(image, lambda exact, *_: exact * 1.6, 0.1, generator(), SPACING_MM)
    np.testing.assert_array_equal(found.ravel(), np.array(expected, dtype))


def variants(name: str) -> dict[tuple[str, float], np.ndarray]:
    image = random_image()
    volume = SubjectVolume(name, image, image[..., 0] > 0, (0, 0, 0))
    return {(kind, s): found for kind, s, found in degradations.variants(volume, SPACING_MM)}


def test_every_strength_follows_the_clean_image() -> None:
    found = variants("s0")
    np.testing.assert_array_equal(found[CLEAN, 0.0], random_image())
    assert list(found) == [
        ("clean", 0.0),
        *(("noise", strength) for strength in (0.1, 0.2, 0.4)),
        *(("bias_field", strength) for strength in (0.2, 0.4, 0.8)),
        *(("blur", strength) for strength in (0.5, 1.0, 2.0)),
    ]


def test_the_subjects_name_alone_seeds() -> None:
    """In this process and in any other: 1662126182 is the CRC-32 of s0."""
    first, again, other = variants("s0"), variants("s0"), variants("s1")
    for key, image in first.items():
        np.testing.assert_array_equal(image, again[key])
        is_random = key[0] in ("noise", "bias_field")
        assert (image != other[key]).any() == is_random
    seeded = np.random.default_rng(np.random.SeedSequence(1662126182))
    drawn = seeded.standard_normal(random_image().shape)
    body = random_image() != 0
    for strength in (0.1, 0.2, 0.4):
        added = first["noise", strength] - random_image().astype(float)
        for modality, std in enumerate((40, 400)):
            wanted = strength * std * drawn[..., modality]
            here = body[..., modality]
            np.testing.assert_allclose(added[here, modality], wanted[here], rtol=0.05, atol=0.6)
