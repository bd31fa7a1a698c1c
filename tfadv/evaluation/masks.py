"""A region's two masks, and what several measures need of them."""

import math
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cc3d
import numpy as np
import surface_distance

from tfrecords.sources.subject import IGNORED

CONNECTIVITY: Final = 26
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Masks:
    """A region of one subject as it is and as it was found. What is shared is computed once.

    Attributes:
        reference: bool [Z, Y, X], the true mask.
        prediction: bool [Z, Y, X], the mask to judge.
        spacing_mm: distance between voxel centres along Z, Y and X.
        empty_mm: the distances where exactly one mask is empty; None for the volume's diagonal.
        ignored: voxels that nobody annotated, which are in neither mask and outside of none.

    Raises:
        ValueError: masks that differ in shape or are not bool and 3D, or a spacing not positive.
    """

    reference: np.ndarray
    prediction: np.ndarray
    spacing_mm: Spacing
    empty_mm: float | None = None
    ignored: int = 0

    def __post_init__(self) -> None:
        _check(self.reference, self.prediction, self.spacing_mm)

    @cached_property
    def in_reference(self) -> int:
        return int(np.count_nonzero(self.reference))

    @cached_property
    def in_prediction(self) -> int:
        return int(np.count_nonzero(self.prediction))

    @cached_property
    def in_both(self) -> int:
        return int(np.count_nonzero(self.reference & self.prediction))

    @property
    def outside_reference(self) -> int:
        return self.reference.size - self.ignored - self.in_reference

    @property
    def in_neither(self) -> int:
        return self.outside_reference - self.in_prediction + self.in_both

    @property
    def voxel_ml(self) -> float:
        return float(math.prod(self.spacing_mm)) / 1000

    @cached_property
    def surface_distances_mm(self) -> tuple[float, float]:
        """The 95 % Hausdorff distance and the mean of the two directed average distances."""
        # The library must not see an empty mask: release 0.1 then asks for the `np.Inf` of NumPy 1.
        empty = not self.in_reference, not self.in_prediction
        if all(empty):
            return 0.0, 0.0
        if any(empty):
            charged_mm = self._diagonal_mm if self.empty_mm is None else self.empty_mm
            return charged_mm, charged_mm
        with warnings.catch_warnings():
            # Release 0.1 calls SciPy's functions by their old names, which SciPy 2 removes.
            warnings.filterwarnings("ignore", "Please (import|use)", DeprecationWarning)
            distances = surface_distance.compute_surface_distances(
                self.reference, self.prediction, self.spacing_mm
            )
        hausdorff95_mm = surface_distance.compute_robust_hausdorff(distances, 95)
        directed_mm = surface_distance.compute_average_surface_distance(distances)
        return float(hausdorff95_mm), float(np.mean(directed_mm))

    @property
    def _diagonal_mm(self) -> float:
        return float(np.linalg.norm(np.multiply(self.reference.shape, self.spacing_mm)))


def where_annotated(prediction: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Predicted class indices, IGNORED where the reference's are."""
    return np.where(reference == IGNORED, reference, prediction)


def connected(labels: np.ndarray) -> int:
    """The number of 3D components of a mask, or of the labels that are not 0."""
    _, count = cc3d.connected_components(labels, connectivity=CONNECTIVITY, return_N=True)
    return int(count)


def count_components(labels: np.ndarray) -> int:
    """The number of 3D components over all classes, background included (Moeskops et al. 2017).

    Args:
        labels: integers [Z, Y, X]; a component is a connected set of voxels of one value. Those
            of the value IGNORED are in none.
    """
    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        raise ValueError(f"Expected integers [Z, Y, X]. Received: {labels.dtype} {labels.shape}")
    # cc3d leaves out the voxels of value 0, so the smallest label becomes 1.
    counted = labels.astype(np.int64) - int(labels.min()) + 1
    return connected(np.where(labels == IGNORED, 0, counted))


def _check(reference: np.ndarray, prediction: np.ndarray, spacing_mm: Spacing) -> None:
    if reference.shape != prediction.shape or reference.ndim != 3:
        raise ValueError(
            "reference and prediction must have one shape [Z, Y, X]. "
            f"Received: reference.shape={reference.shape}, prediction.shape={prediction.shape}"
        )
    if reference.dtype != np.bool_ or prediction.dtype != np.bool_:
        raise ValueError(
            "reference and prediction must be bool: compare a label map with the region's classes. "
            f"Received: reference.dtype={reference.dtype}, prediction.dtype={prediction.dtype}"
        )
    if len(spacing_mm) != 3 or not all(0 < size < math.inf for size in spacing_mm):
        raise ValueError(
            f"spacing_mm must be three positive sizes (z, y, x). Received: spacing_mm={spacing_mm}"
        )
