"""What a model states of a region voxel by voxel, against the truth: is 0.8 right 8 times of 10?"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from tfadv.inference.targets import Targets

BINS: Final = 15  # As in Guo et al. 2017.


@dataclass(frozen=True)
class Stated:
    """Of the voxels that count.

    Attributes:
        probability: float [N], that a voxel is of the region.
        truth: bool [N], whether it is.
    """

    probability: np.ndarray
    truth: np.ndarray

    @property
    def brier(self) -> float:
        """The mean square of probability minus truth (Brier 1950); of a map of 0.5 it is 0.25."""
        return float(np.mean(np.square(self.probability - self.truth), dtype=np.float64))

    @cached_property
    def calibration_error(self) -> float:
        """The expected calibration error (Naeini et al. 2015).

        Voxels fall into BINS bins of equal width by their probability. A bin's error is the
        distance of its mean probability from its share of true voxels; the mean is over voxels.
        """
        # A probability of exactly 1 is in the last bin.
        place = np.minimum((self.probability * BINS).astype(np.intp), BINS - 1)
        stated = np.bincount(place, self.probability, BINS)
        true = np.bincount(place[self.truth], minlength=BINS)
        return float(np.abs(stated - true).sum() / len(place))


@dataclass(frozen=True)
class Maps:
    """A model's probabilities of one subject: float32 [Z, Y, X, K] of its targets."""

    probabilities: np.ndarray
    targets: Targets

    def of(self, members: tuple[int, ...]) -> np.ndarray | None:
        """The probability [Z, Y, X] of a class or region, by its class indices.

        None where the model states none: maps of regions that may overlap say nothing of a class
        that is no region of its own.
        """
        for index, covered in enumerate(self.targets.members):
            if set(covered) == set(members):
                return self.probabilities[..., index]
        if not self.targets.exclusive:
            return None
        return self.probabilities[..., list(members)].sum(axis=-1)
