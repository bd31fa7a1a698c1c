"""A region's two masks, and what several measures need of them."""

import math
import warnings
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Final

import cc3d
import numpy as np
import surface_distance

from tfadv.evaluation.stated import Stated
from tfrecords.sources.subject import IGNORED

CONNECTIVITY: Final = 26
BOUNDARY_MM: Final = 1.0
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
        stated: what the model states of the region; None where it does not, or nobody asked.

    Raises:
        ValueError: masks that differ in shape or are not bool and 3D, or a spacing not positive.
    """

    reference: np.ndarray
    prediction: np.ndarray
    spacing_mm: Spacing
    empty_mm: float | None = None
    ignored: int = 0
    stated: Stated | None = None

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
        if not self.in_reference and not self.in_prediction:
            return 0.0, 0.0
        if self._one_empty:
            charged_mm = self._diagonal_mm if self.empty_mm is None else self.empty_mm
            return charged_mm, charged_mm
        hausdorff95_mm = surface_distance.compute_robust_hausdorff(self._distances, 95)
        directed_mm = surface_distance.compute_average_surface_distance(self._distances)
        return float(hausdorff95_mm), float(np.mean(directed_mm))

    @property
    def boundary_dice(self) -> float:
        """The share of both surfaces that is within BOUNDARY_MM of the other one."""
        if not self.in_reference and not self.in_prediction:
            return 1.0
        if self._one_empty:
            return 0.0
        return float(
            surface_distance.compute_surface_dice_at_tolerance(self._distances, BOUNDARY_MM)
        )

    @property
    def _one_empty(self) -> bool:
        return not self.in_reference or not self.in_prediction

    @cached_property
    def _distances(self) -> Any:
        with warnings.catch_warnings():
            # Release 0.1 calls SciPy's functions by their old names, which SciPy 2 removes.
            warnings.filterwarnings("ignore", "Please (import|use)", DeprecationWarning)
            return surface_distance.compute_surface_distances(
                self.reference, self.prediction, self.spacing_mm
            )

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


def euler_characteristic(mask: np.ndarray) -> int:
    """Components minus tunnels plus cavities of a mask [Z, Y, X]; a ball has 1.

    Of the union of closed voxels, which hang together by a face, an edge or a corner as components
    do: corners minus edges plus faces minus voxels, each that any voxel of the mask has.
    """
    padded = np.pad(mask, 1)
    total = 0
    for spread in product((False, True), repeat=3):
        cells = padded
        for axis in np.flatnonzero(spread):
            before = np.delete(cells, -1, axis)
            cells = before | np.delete(cells, 0, axis)
        total += (-1) ** (3 - sum(spread)) * int(np.count_nonzero(cells))
    return total


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
