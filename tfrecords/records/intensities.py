"""Intensities as record sets hold them, and their statistics.

Integers are held as they are, floating ones as scaled float16. `reading.normalisation` has the same
in TensorFlow.
"""

import numpy as np

STATISTICS = ("mean", "std", "minimum", "maximum", "percentile_1", "percentile_99")
# Floating images are scaled to at most this magnitude and stored as float16 (maximum 65504).
HALF_LIMIT = 32768.0


def foreground_statistics(image: np.ndarray) -> np.ndarray:
    """Statistics of each modality over its non-zero voxels (over all, where all are zero).

    Args:
        image: [..., C].

    Returns:
        float32 [C, len(STATISTICS)].
    """
    return np.stack([_modality_statistics(image[..., c]) for c in range(image.shape[-1])])


def _modality_statistics(image: np.ndarray) -> np.ndarray:
    values = image[image != 0].astype(np.float64)
    if values.size == 0:
        values = np.zeros(1)
    low, high = np.percentile(values, (1, 99))
    return np.array(
        [values.mean(), values.std(), values.min(), values.max(), low, high], np.float32
    )


def halve(image: np.ndarray) -> np.ndarray:
    """A floating image as float16, divided by a power of two against over- and underflow.

    Its largest magnitude lies in (HALF_LIMIT / 2, HALF_LIMIT]. Normalisation does not see the
    factor. `normalisation.as_stored` does the same when serving.
    """
    largest = np.max(np.abs(image.astype(np.float32)), initial=0.0)
    factor = 1.0
    while largest > factor * HALF_LIMIT:
        factor *= 2.0
    while 0 < largest <= factor * HALF_LIMIT / 2:
        factor /= 2.0
    return (image.astype(np.float32) / np.float32(factor)).astype(np.float16)
