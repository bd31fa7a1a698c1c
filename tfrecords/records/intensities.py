"""Intensities as record sets hold them, and their statistics.

Integers are held as they are, floating ones as scaled float16. `reading.normalisation` has the same
in TensorFlow.
"""

from collections.abc import Callable, Sequence
from functools import partial

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
    single = image.astype(np.float32, copy=False)
    return _halved(single, _factor(np.max(np.abs(single), initial=0.0)))


def _halved(single: np.ndarray, factor: float) -> np.ndarray:
    return (single / np.float32(factor)).astype(np.float16)


def _factor(largest: float) -> float:
    """Of a finite largest magnitude, the power of two that `halve` divides by."""
    factor = 1.0
    while largest > factor * HALF_LIMIT:
        factor *= 2.0
    while 0 < largest <= factor * HALF_LIMIT / 2:
        factor /= 2.0
    return factor


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
        single = image.astype(np.float32, copy=False)
    # Rounding keeps order, so that a few values of each modality tell of all.
    ends = np.array([(single[..., c].min(), single[..., c].max()) for c in range(len(names))])
    largest = np.abs(ends).max(axis=1)
    if not np.isfinite(largest).all():
        return _beyond(single, names), []
    held: Callable[[np.ndarray], np.ndarray] = partial(np.asarray, dtype=np.float32)
    if dtype == "float16":
        held = partial(_halved, factor=_factor(largest.max()))
    findings, remarks = [], []
    beside = f"{largest.max():.3g} of {names[int(np.argmax(largest))]}"
    for c, name in enumerate(names):
        lost = _lost(image[..., c], single[..., c], held)
        sentence = (
            f"{lost:.0%} of the non-zero voxels become zero, which is background, as {dtype} "
            f"beside {beside}"
        )
        if lost > LOST_REFUSED:
            findings.append(f"{name}: {sentence}. Mend those values, or set these to zero")
        elif np.ptp(held(ends[c])) == 0:
            findings.append(f"{name}: the image is empty as {dtype} (all voxels are equal)")
        elif lost > LOST_REMARKED:
            remarks.append((name, sentence))
    return findings, remarks


def _beyond(single: np.ndarray, names: Sequence[str]) -> list[str]:
    """Of the modalities [..., C] that are infinite as float32, in how many voxels."""
    odd = {name: np.sum(~np.isfinite(single[..., c])) for c, name in enumerate(names)}
    most = f"{np.finfo(np.float32).max:.3g}"
    return [f"{n}: {v} voxels are beyond float32, at most {most}" for n, v in odd.items() if v]


def _lost(image: np.ndarray, single: np.ndarray, held: Callable[[np.ndarray], np.ndarray]) -> float:
    """The share of non-zero voxels that storage makes zero.

    Args:
        image: as in its file.
        single: the same as float32.
    """
    magnitudes = np.abs(single)
    smallest = np.min(magnitudes, where=magnitudes > 0, initial=np.float32(HALF_LIMIT))
    if image.dtype.itemsize <= single.dtype.itemsize and held(smallest):
        return 0.0  # Nearly always, and soon told.
    before, after = int(np.count_nonzero(image)), int(np.count_nonzero(held(single)))
    return (before - after) / max(1, before)
