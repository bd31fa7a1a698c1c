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
    boundary_dice                the share of both surfaces that is within 1 mm of the other

What overlap does not see:

    volume_error                 the prediction's volume minus the reference's, by the reference's
    euler                        Euler characteristic: components minus tunnels plus cavities

Components are 26-connected (faces, edges, corners): ours, Moeskops et al. 2017 state none.

Calibration, of the probability that the model states of the region in each annotated voxel of the
body's box (beyond it no network looked); nan where it states none:

    brier                        the mean square of probability minus truth
    calibration_error            the expected calibration error (ECE), of 15 bins: how far stated
                                 probabilities are from the shares that are true

Most voxels are background of which models are sure, so both are small, and smaller in a larger box:
compare runs on the same subjects.

Empty masks:

    reference  prediction  both dice  sensitivity  specificity  precision  distances
    empty      empty       1          nan          1            nan        0
    empty      not         0          nan          < 1          0          empty_mm
    not        empty       0          0            1            nan        empty_mm

A region that is absent and not predicted is a success, so dice and distances say so. When one is
empty no distance exists, yet a failure must cost something: nan would drop out of a mean and reward
it, and a single inf would drown every other subject. By default empty_mm is the volume's diagonal,
the largest distance that the volume admits; on a BraTS volume it is the 373.13 mm that the
challenge charges. It grows with the volume, so measure on the source's grid, never on a crop, or
give one empty_mm for all volumes. Ratios without a denominator are nan: leave them out of means.
They hide no failure, because dice and distances are never nan.

Voxels that nobody annotated are in neither mask, and specificity does not count them.

`MEASURES` is the one place that says what a measure is: an entry more is a column more of
metrics.csv and a row more of its summary, and what its flags say.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfadv.evaluation.masks import Masks, Spacing, connected, euler_characteristic
from tfadv.evaluation.stated import Stated
from tfrecords.geometry.overlap import dice


@dataclass(frozen=True)
class Measure:
    """What is measured of a region's two masks, how it is called, and where it is shown.

    Attributes:
        name: the column of metrics.csv; a length ends in `_mm`, a volume in `_ml`.
        title: for readers.
        of: the number, or nan where there is none.
        digits: behind the point, in a report.
        better: which numbers are better; "neither" of what only describes.
        scale: of an axis: a share from 0 to 1; a distance in mm, logarithmic beyond 1; or linear.
        panel: the place in a run's boxplots.png, from 1; 0 for none.
        reported: in the scores of a study's report, its table and its figure by region.
        tested: in a study's statistical tests.
        by_amount: in a study's figure over the amount of training data; only where tested.
        every_epoch: validated after every epoch, and not only where it chooses the epoch.
        either_sign: whether errors of both signs would cancel in a mean over subjects; seeds are
            then compared by the mean of its absolute values.
        of_stated: whether it needs probabilities, which are kept only where one does.
    """

    name: str
    title: str
    of: Callable[[Masks], float]
    digits: int = 3
    better: Literal["higher", "lower", "neither"] = "higher"
    scale: Literal["share", "distance", "linear"] = "share"
    panel: int = 0
    reported: bool = False
    tested: bool = False
    by_amount: bool = False
    every_epoch: bool = False
    either_sign: bool = False
    of_stated: bool = False


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


# In the order of the columns of metrics.csv.
MEASURES = (
    Measure(
        "dice",
        "Dice",
        lambda masks: dice(masks.reference, masks.prediction),
        panel=1,
        reported=True,
        tested=True,
        by_amount=True,
        every_epoch=True,
    ),
    Measure(
        "sensitivity",
        "sensitivity",
        lambda masks: _ratio(masks.in_both, masks.in_reference),
        panel=3,
        reported=True,
        tested=True,
        by_amount=True,
    ),
    Measure(
        "specificity",
        "specificity",
        lambda masks: _ratio(masks.in_neither, masks.outside_reference),
        panel=4,
        reported=True,
    ),
    Measure("precision", "precision", lambda masks: _ratio(masks.in_both, masks.in_prediction)),
    Measure(
        "hausdorff95_mm",
        "95 % Hausdorff distance (mm)",
        lambda masks: masks.surface_distances_mm[0],
        digits=1,
        better="lower",
        scale="distance",
        panel=2,
        reported=True,
        tested=True,
    ),
    Measure(
        "average_surface_distance_mm",
        "average surface distance (mm)",
        lambda masks: masks.surface_distances_mm[1],
        digits=1,
        better="lower",
        scale="distance",
    ),
    Measure("boundary_dice", "boundary Dice (1 mm)", lambda masks: masks.boundary_dice),
    Measure(
        "volume_error",
        "relative volume error",
        lambda masks: _ratio(masks.in_prediction - masks.in_reference, masks.in_reference),
        better="neither",
        scale="linear",
        either_sign=True,
    ),
    Measure(
        "reference_volume_ml",
        "volume in the reference (ml)",
        lambda masks: masks.in_reference * masks.voxel_ml,
        digits=1,
        better="neither",
        scale="linear",
    ),
    Measure(
        "volume_ml",
        "volume (ml)",
        lambda masks: masks.in_prediction * masks.voxel_ml,
        digits=1,
        better="neither",
        scale="linear",
    ),
    Measure(
        "components",
        "components",
        lambda masks: float(connected(masks.prediction)),
        digits=1,
        better="neither",
        scale="linear",
    ),
    Measure(
        "reference_components",
        "components in the reference",
        lambda masks: float(connected(masks.reference)),
        digits=1,
        better="neither",
        scale="linear",
    ),
    Measure(
        "euler",
        "Euler characteristic",
        lambda masks: float(euler_characteristic(masks.prediction)),
        digits=1,
        better="neither",
        scale="linear",
    ),
    Measure(
        "reference_euler",
        "Euler characteristic of the reference",
        lambda masks: float(euler_characteristic(masks.reference)),
        digits=1,
        better="neither",
        scale="linear",
    ),
    Measure(
        "brier",
        "Brier score",
        lambda masks: masks.stated.brier if masks.stated else math.nan,
        digits=4,
        better="lower",
        of_stated=True,
    ),
    Measure(
        "calibration_error",
        "expected calibration error",
        lambda masks: masks.stated.calibration_error if masks.stated else math.nan,
        digits=4,
        better="lower",
        of_stated=True,
    ),
)


def names() -> list[str]:
    """Of all measures, in order: the columns of a table of results."""
    return [measure.name for measure in MEASURES]


def named(name: str) -> Measure:
    """Raises KeyError where no measure is called so."""
    return {measure.name: measure for measure in MEASURES}[name]


def need_stated(chosen: Sequence[Measure]) -> bool:
    """Whether any of these needs probabilities."""
    return any(measure.of_stated for measure in chosen)


def panels() -> list[Measure]:
    """Those of boxplots.png, from left to right."""
    return sorted((m for m in MEASURES if m.panel), key=lambda measure: measure.panel)


def region_metrics(
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: Spacing,
    *,
    empty_mm: float | None = None,
    ignored: int = 0,
    stated: Stated | None = None,
    measures: Sequence[Measure] | None = None,
) -> dict[str, float]:
    """Measures of one region of one subject, by name; see `Masks`.

    Args:
        measures: all if not given.
    """
    masks = Masks(reference, prediction, spacing_mm, empty_mm, ignored, stated)
    return {m.name: float(m.of(masks)) for m in (MEASURES if measures is None else measures)}
