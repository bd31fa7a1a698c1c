"""Intensities as record sets hold them, and their statistics.

Integers are held as they are, floating ones as scaled float16. `reading.normalisation` has the same
in TensorFlow.
"""

from collections.abc import Sequence

import numpy as np

STATISTICS = ("mean", "std", "minimum", "maximum", "percentile_1", "percentile_99")
# Floating images are scaled to at most this magnitude and stored as float16 (maximum 65504).
HALF_LIMIT = 32768.0
# Shares of a modality's non-zero voxels that storage makes zero: more than the first is remarked,
# more than the second refused.
LOST_REMARKED, LOST_REFUSED = 0.01, 0.5


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


def stored(image: np.ndarray, dtype: str) -> np.ndarray:
    """An image as a record set of this type holds it."""
    return halve(image) if dtype == "float16" else image.astype(dtype, copy=False)


def storage_findings(
    image: np.ndarray, dtype: str, names: Sequence[str]
) -> tuple[list[str], list[tuple[str, str]]]:
    """What storage would do to intensities that are finite and not all equal in the file.

    Zero is background. Beside one voxel of 1e30, all others become zero when they are scaled to
    float16: the subject is gone, without an error. A few that vanish may be an interpolation's
    ripples about air, and are remarked. Where most do, either the large values are wrong, or the
    small ones should be zero in the file, and only the user can say which.

    Args:
        image: [..., C].
        names: of the modalities, as the user knows them.

    Returns:
        Findings, a sentence each; and remarks, as a modality's name and a sentence.
    """
    with np.errstate(over="ignore"):
        single = image.astype(np.float32)
    odd = [
        f"{name}: {np.sum(~np.isfinite(single[..., c]))} voxels are beyond float32, at most "
        f"{np.finfo(np.float32).max:.3g}"
        for c, name in enumerate(names)
        if not np.isfinite(single[..., c]).all()
    ]
    if odd:
        return odd, []
    findings, remarks = [], []
    held = image if np.can_cast(image.dtype, dtype) else stored(single, dtype)
    largest = [float(np.abs(single[..., c]).max()) for c in range(len(names))]
    beside = f"{max(largest):.3g} of {names[int(np.argmax(largest))]}"
    for c, name in enumerate(names):
        before, after = (int(np.count_nonzero(array[..., c])) for array in (image, held))
        lost = (before - after) / max(1, before)
        sentence = (
            f"{lost:.0%} of the non-zero voxels become zero, which is background, as {dtype} "
            f"beside {beside}"
        )
        if lost > LOST_REFUSED:
            findings.append(f"{name}: {sentence}. Mend those values, or set these to zero")
        elif held[..., c].min() == held[..., c].max():
            findings.append(f"{name}: the image is empty as {dtype} (all voxels are equal)")
        elif lost > LOST_REMARKED:
            remarks.append((name, sentence))
    return findings, remarks
