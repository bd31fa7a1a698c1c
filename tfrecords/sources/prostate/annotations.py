"""What readers drew of a prostate: reading, grouping, registering and fusing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tfrecords.errors import UserError
from tfrecords.geometry import registration
from tfrecords.geometry.grid import Grid
from tfrecords.geometry.nifti import read_image
from tfrecords.geometry.registration import Registration
from tfrecords.geometry.resample import Shift, to_grid

CLASSES = ("background", "tumour", "peripheral_zone", "transitional_zone")
TUMOUR, PERIPHERAL = 1, 2
CLASS_OF_ZONE = np.array([0, PERIPHERAL, 3], np.uint8)
GROUPS = ("aggressive", "lesion_free")
AGGRESSIVE_GRADE = 2  # ISUP; Gleason score 7.
HIGHEST_GRADE = 5

NO_LESION_MAP = "no lesion map, taken as lesion-free"
GRADE_ONE = "lesions of ISUP grade 1 alone, left out"
SECOND_ALONE = "tumour that only the second reader drew, left out"


@dataclass(frozen=True)
class Annotation:
    """What one reader drew, [X, Y, Z]: zones as class indices, grades if there is a lesion map."""

    zones: np.ndarray
    grades: np.ndarray | None
    grid: Grid

    @property
    def tumour(self) -> np.ndarray | None:
        return None if self.grades is None else (self.grades >= AGGRESSIVE_GRADE).astype(np.uint8)


def _read_labels(path: Path, highest: int, grids: Sequence[Grid]) -> tuple[np.ndarray, Grid]:
    """Whole numbers from 0 to `highest` (uint8), and the one of the grids on which they lie."""
    array, own = read_image(path)
    grid = next((grid for grid in grids if own.matches(grid)), None)
    if grid is None:
        names = ("T2w", "ADC")[: len(grids)]
        expected = " or ".join(f"of the {k} ({g})" for k, g in zip(names, grids, strict=True))
        raise UserError(f"{path}: expected the grid {expected}, received {own}")
    if odd := sorted({float(v) for v in np.unique(array)} - set(range(highest + 1))):
        raise UserError(f"{path}: expected labels from 0 to {highest}, received {odd[:5]}")
    return array.astype(np.uint8), grid


def annotation(zones: Path, lesion: Path | None, grids: Sequence[Grid]) -> Annotation:
    values, grid = _read_labels(zones, len(CLASS_OF_ZONE) - 1, grids)
    grades = _read_labels(lesion, HIGHEST_GRADE, (grid,))[0] if lesion else None
    return Annotation(CLASS_OF_ZONE[values], grades, grid)


def group(first: Annotation, second: Annotation | None) -> tuple[str, list[str]]:
    """The group, empty where there is none, and what is to be known of it."""
    annotations = (first, second) if second else (first,)
    grades = [a.grades for a in annotations if a.grades is not None]
    highest = [int(g.max()) for g in grades]
    if not any(highest):
        return GROUPS[1], [] if grades else [NO_LESION_MAP]
    if highest[0] >= AGGRESSIVE_GRADE:
        return GROUPS[0], []
    return "", [SECOND_ALONE if max(highest) >= AGGRESSIVE_GRADE else GRADE_ONE]


def register(first: Annotation, second: Annotation) -> Registration | None:
    fixed, moving = (annotation.zones == PERIPHERAL for annotation in (first, second))
    if not fixed.any() or not moving.any():
        return None
    return registration.register(moving, second.grid, fixed, first.grid)


def fuse(first: Annotation, second: Annotation | None, shift: Shift) -> np.ndarray:
    """The label map on the first annotation's grid."""
    if second is None:
        return _draw(first.zones, first.tumour)
    moved = partial(to_grid, source=second.grid, target=first.grid, shift_mm=shift, label=True)
    zones, spacing_mm = moved(second.zones), first.grid.spacing_mm
    if second.tumour is None:
        return _draw(registration.fuse(first.zones, zones, spacing_mm), first.tumour)
    tumour = moved(second.tumour)
    if first.tumour is None:
        return _draw(registration.fuse(first.zones, zones, spacing_mm), tumour)
    return registration.fuse(_draw(first.zones, first.tumour), _draw(zones, tumour), spacing_mm)


def _draw(zones: np.ndarray, tumour: np.ndarray | None) -> np.ndarray:
    """Zones, and tumour over them and beyond."""
    return zones if tumour is None else np.where(tumour > 0, np.uint8(TUMOUR), zones)
