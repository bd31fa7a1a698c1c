"""How large a perturbation of an image is, and which one of a size a slope gains most by.

A perturbation is [N], of the values that may change, in units of each modality's standard
deviation.
"""

import abc
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Norm(abc.ABC):
    """How large a perturbation [N] of N values is.

    Attributes:
        strengths: the sizes at which the worst is looked for, ascending.
        axis: what a strength is, for the picture's axis.
    """

    strengths: tuple[float, ...]
    axis: str

    @abc.abstractmethod
    def steepest(self, slope: np.ndarray) -> np.ndarray:
        """The perturbation of norm 1 that a slope [N] gains most by; none where it is flat."""

    @abc.abstractmethod
    def within(self, perturbation: np.ndarray, strength: float) -> np.ndarray:
        """The nearest perturbation whose norm is at most this."""

    @abc.abstractmethod
    def drawn(self, generator: np.random.Generator, values: int) -> np.ndarray:
        """A random perturbation [values] of norm 1."""


class RootMeanSquare(Norm):
    def steepest(self, slope: np.ndarray) -> np.ndarray:
        # Tiny slopes have squares of zero.
        slope = slope / (np.abs(slope).max() or 1)
        return slope / (_rms(slope) or 1)

    def within(self, perturbation: np.ndarray, strength: float) -> np.ndarray:
        return perturbation * min(1.0, strength / (_rms(perturbation) or 1))

    def drawn(self, generator: np.random.Generator, values: int) -> np.ndarray:
        return self.steepest(generator.standard_normal(values))


class Largest(Norm):
    def steepest(self, slope: np.ndarray) -> np.ndarray:
        return np.sign(slope)

    def within(self, perturbation: np.ndarray, strength: float) -> np.ndarray:
        return np.clip(perturbation, -strength, strength)

    def drawn(self, generator: np.random.Generator, values: int) -> np.ndarray:
        return generator.choice([-1.0, 1.0], values)


STRENGTHS = (0.02, 0.05, 0.1)
NORMS: dict[str, Norm] = {
    "adversarial_rms": RootMeanSquare(STRENGTHS, "worst case: root mean square"),
    "adversarial_max": Largest(STRENGTHS, "worst case: largest"),
}


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
