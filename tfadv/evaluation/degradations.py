"""Degraded images of a subject: noise, bias fields and blur of stated strengths.

A degradation maps (image [Z, Y, X, C], strength, generator, spacing_mm along Z, Y and X) to the
degraded image, in floating point. `degrade` gives it the properties of a stored one.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.polynomial import polygrid3d
from scipy import ndimage

from tfadv.evaluation.masks import Spacing
from tfrecords.reading.record_set import SubjectVolume

CLEAN = "clean"
ORDER = 3  # Of the bias field's polynomial.
Degrade = Callable[[np.ndarray, float, np.random.Generator, Spacing], np.ndarray]


@dataclass(frozen=True)
class Degradation:
    """A degradation, the strengths to apply, and what a strength is, for the picture's axis."""

    apply: Degrade
    strengths: tuple[float, ...]
    axis: str


def noise(
    image: np.ndarray, strength: float, generator: np.random.Generator, _: Spacing
) -> np.ndarray:
    """Adds Gaussian noise; strength is its standard deviation over that of the modality's body."""
    std = np.ma.masked_equal(image, 0).std(axis=(0, 1, 2)).filled(0)
    return image + strength * std * generator.standard_normal(image.shape)


def bias_field(
    image: np.ndarray, strength: float, generator: np.random.Generator, _: Spacing
) -> np.ndarray:
    """Multiplies each modality by a smooth gain from exp(-strength) to exp(strength)."""
    fields = [polynomial_field(image.shape[:3], generator) for _ in range(image.shape[3])]
    return image * np.exp(strength * np.stack(fields, axis=-1))


def blur(
    image: np.ndarray, strength: float, _: np.random.Generator, spacing_mm: Spacing
) -> np.ndarray:
    """Gaussian of sigma = strength in mm. What lies beyond the image is taken for its border."""
    sigma = [strength / size for size in spacing_mm]
    return ndimage.gaussian_filter(image, (*sigma, 0), mode="nearest")


DEGRADATIONS = {
    "noise": Degradation(noise, (0.1, 0.2, 0.4), "noise: share of the standard deviation"),
    "bias_field": Degradation(bias_field, (0.2, 0.4, 0.8), "bias field: ln of the largest gain"),
    "blur": Degradation(blur, (0.5, 1.0, 2.0), "blur: sigma (mm)"),
}


def polynomial_field(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """A random polynomial of order 3 in z, y and x, scaled to [-1, 1] over the shape [Z, Y, X]."""
    coefficients = generator.standard_normal((ORDER + 1,) * 3)
    coefficients[np.indices(coefficients.shape).sum(axis=0) > ORDER] = 0
    z, y, x = (np.linspace(-1, 1, extent) for extent in shape)
    field = polygrid3d(z, y, x, coefficients)
    return 2 * (field - field.min()) / np.ptp(field) - 1


def degrade(
    image: np.ndarray,
    apply: Degrade,
    strength: float,
    generator: np.random.Generator,
    spacing_mm: Spacing,
) -> np.ndarray:
    """The degraded image as a record set would hold it: of the same type, rounded and clipped.

    Zero is background, for normalisation and for the body's box. So zeros stay, and no other voxel
    becomes one: it would drop out of the statistics, or move the box, which no scanner does.

    Args:
        image: [Z, Y, X, C], integers or float16.
        spacing_mm: along Z, Y and X.
    """
    exact = apply(image.astype(np.float64), strength, generator, spacing_mm)
    if np.issubdtype(image.dtype, np.integer):
        integers = np.iinfo(image.dtype)
        lowest, highest, least = integers.min, integers.max, 1.0
        exact = np.rint(exact)
    else:
        floats = np.finfo(image.dtype)
        # A subnormal could become zero where the predictor halves the image.
        lowest, highest, least = floats.min, floats.max, float(floats.smallest_normal)
    exact = np.clip(exact, lowest, highest)
    exact = np.where(np.abs(exact) < least, np.sign(image) * least, exact)
    return np.where(image == 0, 0, exact).astype(image.dtype)


def variants(volume: SubjectVolume, spacing_mm: Spacing) -> Iterator[tuple[str, float, np.ndarray]]:
    """(degradation, strength, image) of a subject: the stored image first, then every other one.

    What is random depends on the subject's name alone, so that all runs see the same images, and a
    degradation's strengths differ by strength alone.
    """
    yield CLEAN, 0.0, volume.image
    seed = zlib.crc32(volume.subject.encode())
    for name, degradation in DEGRADATIONS.items():
        for strength in degradation.strengths:
            generator = np.random.default_rng(np.random.SeedSequence(seed))
            apply = degradation.apply
            yield name, strength, degrade(volume.image, apply, strength, generator, spacing_mm)
