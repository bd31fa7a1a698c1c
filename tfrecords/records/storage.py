"""How record sets hold intensities: integers as they are, floating ones as scaled float16."""

import numpy as np

# Floating images are scaled to at most this magnitude and stored as float16 (maximum 65504).
HALF_LIMIT = 32768.0


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
