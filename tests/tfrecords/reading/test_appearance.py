"""Variation of intensities, against SciPy, NumPy and closed forms, in two and three dimensions."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfrecords.reading import appearance
from tfrecords.reading.appearance import EFFECTS, TRUNCATE, Appearance, vary

SHAPES = [(9, 12, 2), (6, 7, 8, 2)]
SEED = tf.constant([3, 5], tf.int64)
ALL = Appearance(1.0, 1.0, 0.3, 0.3, 0.3, 0.5, share=1.0)


def image_of(shape: tuple[int, ...], zeros: bool = False) -> np.ndarray:
    """Positive, and zero in one corner where wanted."""
    image = np.random.default_rng(0).uniform(0.5, 4, shape).astype(np.float32)
    if zeros:
        image[:3, :3] = 0
    return image


@pytest.mark.parametrize("shape", SHAPES)
def test_blur_is_scipys(shape: tuple[int, ...]) -> None:
    """Wider than the image, too."""
    image, sigmas = image_of(shape), (0.4, 4.1)
    found = appearance.blurred(tf.constant(image), tf.constant(sigmas), 4.1)
    radius = int(TRUNCATE * 4.1 + 0.5)
    for channel, sigma in enumerate(sigmas):
        expected = ndimage.gaussian_filter(image[..., channel], sigma, radius=radius)
        np.testing.assert_allclose(found[..., channel], expected, rtol=1e-5)
    same = appearance.blurred(tf.constant(image), tf.zeros([2]), 1.1)
    np.testing.assert_allclose(same, image, rtol=1e-6)


def test_low_resolution_keeps_every_second_voxel_and_interpolates() -> None:
    image = np.arange(8, dtype=np.float32)[:, None] * np.array([1, 1], np.float32)
    found = appearance.lowered(tf.constant(image), tf.constant([2.0, 1.0]))
    kept = np.array([1, 3, 5, 7])
    expected = np.interp((np.arange(8) + 0.5) / 2 - 0.5, np.arange(4), kept)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], image[:, 1], rtol=1e-6)


def test_low_resolution_leaves_what_is_even_along_each_axis() -> None:
    ramp = np.add.outer(np.arange(10), 10 * np.arange(12)).astype(np.float32)
    found = appearance.lowered(tf.constant(np.stack([ramp, 0 * ramp + 3], -1)), tf.ones([2]) * 2)
    inner = np.s_[2:-2, 2:-2]
    # The kept voxels lie half a voxel behind the middle of the large ones.
    np.testing.assert_allclose(found[..., 0][inner], ramp[inner] + 0.5 + 5, rtol=1e-5)
    np.testing.assert_allclose(found[..., 1], 3, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_contrast_and_gamma_stay_within_the_bodys_range(shape: tuple[int, ...]) -> None:
    image = image_of(shape, zeros=True)
    body = image[..., 0] != 0
    values = image[body]
    low, high, mean = values.min(0), values.max(0), values.mean(0)
    factor, exponent = np.array([0.7, 1.3], np.float32), np.array([0.5, 1.5], np.float32)
    stretched = appearance.stretched(tf.constant(image), tf.constant(factor)).numpy()[body]
    expected = np.clip(mean + factor * (values - mean), low, high)
    np.testing.assert_allclose(stretched, expected, rtol=1e-4)
    curved = appearance.curved(tf.constant(image), tf.constant(exponent)).numpy()[body]
    expected = low + (high - low) * ((values - low) / (high - low)) ** exponent
    np.testing.assert_allclose(curved, expected, rtol=1e-4)


def test_brightness_is_one_factor_for_each_channel_within_its_bounds() -> None:
    image = tf.constant(image_of((40, 3)))
    ratios = []
    for number in range(200):
        varied = vary(image, Appearance(brightness=0.25, share=1.0), SEED + number)
        ratio = (varied / image).numpy()
        np.testing.assert_allclose(ratio, ratio[:1] + 0 * ratio, rtol=1e-5)
        ratios.append(ratio[0])
    found = np.array(ratios)
    assert 0.75 <= found.min() < 0.76
    assert 1.24 < found.max() <= 1.25
    assert abs(np.corrcoef(found.T)[0, 1]) < 0.2


def test_noise_has_a_deviation_from_zero_to_the_amount() -> None:
    image = tf.ones([60, 60, 1])
    deviations = [
        np.std(vary(image, Appearance(noise=0.5, share=1.0), SEED + number))
        for number in range(100)
    ]
    assert np.mean(deviations) == pytest.approx(0.25, abs=0.05)
    assert max(deviations) < 0.53


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_zeros_stay_zero_and_seeds_decide(shape: tuple[int, ...]) -> None:
    image = image_of(shape, zeros=True)
    graph = tf.function(lambda seed: vary(tf.constant(image), ALL, seed), autograph=False)
    varied = graph(SEED).numpy()
    np.testing.assert_array_equal(varied[:3, :3], 0)
    assert np.abs(varied - image)[4:, 4:].min() > 0
    np.testing.assert_array_equal(varied, graph(SEED))
    assert np.abs(varied - graph(SEED + 1)).max() > 0.1


@pytest.mark.parametrize("name", EFFECTS)
def test_each_varies_its_share_of_the_examples(name: str) -> None:
    image = tf.constant(image_of((9, 9, 1)))
    # Of the narrowest Gaussians, nothing is seen.
    chosen = replace(Appearance(share=0.3), **{name: 5.0 if name == "blur" else 0.5})
    graph = tf.function(lambda seed: vary(image, chosen, seed), autograph=False)
    changed = [np.any(graph(SEED + number) != image) for number in range(200)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.1)


def test_a_channel_of_background_alone_stays_as_it_is() -> None:
    image = np.stack([image_of((9, 12)), np.zeros((9, 12), np.float32)], axis=-1)
    varied = vary(tf.constant(image), ALL, SEED).numpy()
    np.testing.assert_array_equal(varied[..., 1], 0)
    assert np.isfinite(varied).all()
