"""Intensity statistics of the foreground, in NumPy. `normalisation` has the same in TensorFlow."""

import numpy as np

STATISTICS = ("mean", "std", "minimum", "maximum", "percentile_1", "percentile_99")


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
