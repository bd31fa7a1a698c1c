"""Measures of one region's predicted mask against its reference mask, in 3D and in millimetres.

With R the reference's voxels, P the prediction's, and |.| their number:

    dice  2 |R and P| / (|R| + |P|)    sensitivity  |R and P| / |R|
    precision  |R and P| / |P|         specificity  |neither R nor P| / |not R|

Surfaces are sampled at voxel corners, each weighted by the surface's area there
(google-deepmind/surface-distance); a sample's distance is to the nearest of the other surface:

    hausdorff95_mm               the larger of the two directed 95th percentiles
    average_surface_distance_mm  the mean of the two directed means (MASD in "Metrics Reloaded";
                                 not ASSD, which pools both surfaces); between curved
                                 surfaces it falls short by about half a voxel

Components are 26-connected (faces, edges, corners): ours, Moeskops et al. 2017 state none.

Empty masks:

    reference  prediction  dice  sensitivity  specificity  precision  distances
    empty      empty       1     nan          1            nan        0
    empty      not         0     nan          < 1          0          empty_mm
    not        empty       0     0            1            nan        empty_mm

A region that is absent and not predicted is a success, so dice and distances say so. When one is
empty no distance exists, yet a failure must cost something: nan would drop out of a mean and reward
it, and a single inf would drown every other subject. By default empty_mm is the volume's diagonal,
the largest distance that the volume admits; on a BraTS volume it is the 373.13 mm that the
challenge charges. It grows with the volume, so measure on the source's grid, never on a crop, or
give one empty_mm for all volumes. Ratios without a denominator are nan: leave them out of means.
They hide no failure, because dice and distances are never nan.
"""

import math
import warnings
from typing import Final

import cc3d
import numpy as np
import surface_distance

# The columns of a table of results, in order: the keys of what `region_metrics` returns.
METRICS = (
    "dice",
    "sensitivity",
    "specificity",
    "precision",
    "hausdorff95_mm",
    "average_surface_distance_mm",
    "reference_volume_ml",
    "volume_ml",
    "components",
    "reference_components",
)
CONNECTIVITY: Final = 26
Spacing = tuple[float, float, float]


def region_metrics(
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: Spacing,
    *,
    empty_mm: float | None = None,
) -> dict[str, float]:
    """Every measure in `METRICS` for one region of one subject.

    Args:
        reference: bool [Z, Y, X], the true mask.
        prediction: bool [Z, Y, X], the mask to judge.
        spacing_mm: distance between voxel centres along Z, Y and X.
        empty_mm: the distances where exactly one mask is empty; None for the volume's diagonal.

    Returns:
        One float per name in `METRICS`, in that order, as the module's docstring defines them.

    Raises:
        ValueError: masks that differ in shape or are not bool and 3D, or a spacing not positive.
    """
    _check(reference, prediction, spacing_mm)
    in_reference, in_prediction = int(reference.sum()), int(prediction.sum())
    in_both = int((reference & prediction).sum())
    in_neither = reference.size - in_reference - in_prediction + in_both
    total = in_reference + in_prediction
    hausdorff95_mm, average_mm = _surface_distances_mm(reference, prediction, spacing_mm, empty_mm)
    voxel_ml = float(math.prod(spacing_mm)) / 1000
    return {
        "dice": 2 * in_both / total if total else 1.0,
        "sensitivity": _ratio(in_both, in_reference),
        "specificity": _ratio(in_neither, reference.size - in_reference),
        "precision": _ratio(in_both, in_prediction),
        "hausdorff95_mm": hausdorff95_mm,
        "average_surface_distance_mm": average_mm,
        "reference_volume_ml": in_reference * voxel_ml,
        "volume_ml": in_prediction * voxel_ml,
        "components": float(_count(prediction)),
        "reference_components": float(_count(reference)),
    }


def count_components(labels: np.ndarray) -> int:
    """The number of 3D components over all classes, background included (Moeskops et al. 2017).

    Args:
        labels: integers [Z, Y, X]; a component is a connected set of voxels of one value.
    """
    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        raise ValueError(f"Expected integers [Z, Y, X]. Received: {labels.dtype} {labels.shape}")
    # cc3d leaves out the voxels of value 0, so the smallest label becomes 1.
    return _count(labels.astype(np.int64) - int(labels.min()) + 1)


def _count(labels: np.ndarray) -> int:
    _, count = cc3d.connected_components(labels, connectivity=CONNECTIVITY, return_N=True)
    return int(count)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _surface_distances_mm(
    reference: np.ndarray, prediction: np.ndarray, spacing_mm: Spacing, empty_mm: float | None
) -> tuple[float, float]:
    """The 95 % Hausdorff distance and the mean of the two directed average distances."""
    # The library must not see an empty mask: release 0.1 then asks for the `np.Inf` of NumPy 1.
    empty = not reference.any(), not prediction.any()
    if all(empty):
        return 0.0, 0.0
    if any(empty):
        if empty_mm is None:
            empty_mm = float(np.linalg.norm(np.multiply(reference.shape, spacing_mm)))
        return empty_mm, empty_mm
    with warnings.catch_warnings():
        # Release 0.1 calls SciPy's functions by their old names, which SciPy 2 removes.
        warnings.filterwarnings("ignore", "Please (import|use)", DeprecationWarning)
        distances = surface_distance.compute_surface_distances(reference, prediction, spacing_mm)
    hausdorff95_mm = surface_distance.compute_robust_hausdorff(distances, 95)
    directed_mm = surface_distance.compute_average_surface_distance(distances)
    return float(hausdorff95_mm), float(np.mean(directed_mm))


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
