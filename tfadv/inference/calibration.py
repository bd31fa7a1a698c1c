"""The Dice that is to be expected of a label map, by what the model says of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfrecords.errors import SettingError


class Expected(NamedTuple):
    """A mean Dice, and the bounds of its interval."""

    dice: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """What was measured on subjects that trained no member, as they are and degraded.

    Attributes:
        measure: which number of the quality it goes by.
        at, dice: its values, rising, and the mean Dice expected there; straight lines in between,
            and beyond them what is nearest.
        within: half the interval's width; so near was the Dice of `coverage` of the images.
        rho: Spearman's, of the measure and the Dice.
        subjects, images: how many.

    Raises:
        SettingError: these contradict each other.
    """

    measure: str
    at: tuple[float, ...]
    dice: tuple[float, ...]
    within: float
    coverage: float
    rho: float
    subjects: int
    images: int

    def __post_init__(self) -> None:
        if not self.at or len(self.at) != len(self.dice) or list(self.at) != sorted(self.at):
            raise SettingError(
                "calibration", f"expected a Dice for each of rising values, received {self.at}"
            )

    def expected(self, names: Sequence[str], quality: np.ndarray) -> Expected:
        """What to expect of a label map.

        Args:
            names: of the quality's numbers.
            quality: [N].
        """
        value = float(quality[list(names).index(self.measure)])
        dice = float(np.interp(value, self.at, self.dice))
        return Expected(dice, max(dice - self.within, 0.0), min(dice + self.within, 1.0))
