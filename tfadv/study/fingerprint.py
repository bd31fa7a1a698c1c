"""What a record set is like, as far as it matters for the choice of a method."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from tfrecords.records.manifest import Manifest
from tfrecords.records.views import Patches, Slices, View, Volumes

THICK = 2.0  # Spacing along the slices' axis by that within them, from which volumes are slices.
FEW = 12  # Subjects, below which one fold's scores say little.


@dataclass(frozen=True)
class Fingerprint:
    """Of labelled subjects, unless another is said.

    Attributes:
        spacings_mm: of the working grids, [subjects, 3] along (x, y, z).
        unlabelled: how many subjects have no label map.
    """

    view: View
    subjects: int
    unlabelled: int
    modalities: int
    classes: int
    regions: int
    shape: tuple[int, int, int]
    spacings_mm: np.ndarray

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        labelled = [subject for subject in manifest.subjects if subject.labelled]
        return cls(
            manifest.view,
            len(labelled),
            len(manifest.subjects) - len(labelled),
            len(manifest.modalities),
            len(manifest.classes),
            len(manifest.regions),
            manifest.largest_shape,
            np.array([subject.working.spacing_mm for subject in labelled]),
        )

    @property
    def spacing_mm(self) -> np.ndarray:
        """The median, along (x, y, z)."""
        return np.median(self.spacings_mm, axis=0)

    @property
    def thick(self) -> bool:
        """Whether slices lie far apart."""
        x_mm, y_mm, z_mm = self.spacing_mm
        return bool(z_mm >= THICK * max(x_mm, y_mm))

    @property
    def words(self) -> str:
        z, y, x = self.shape
        return (
            f"{self.subjects} labelled subjects, {self.unlabelled} unlabelled, {self.modalities} "
            f"modalities, {self.classes} classes, {self.regions} regions, up to {x}x{y}x{z} voxels "
            f"of {_mm(self.spacing_mm)} mm, as {self.view}"
        )

    @property
    def remarks(self) -> Iterator[str]:
        """What another preprocessing would do better."""
        least, most = self.spacings_mm.min(axis=0), self.spacings_mm.max(axis=0)
        if (most > 1.2 * least).any():
            yield (
                f"spacing differs between subjects, {_mm(least)} to {_mm(most)} mm: networks see "
                f"voxels, so preprocess with --spacing {_mm(self.spacing_mm, ',')}"
            )
        if isinstance(self.view, Volumes) and self.thick:
            yield (
                f"slices are {self.spacing_mm[2]:.3g} mm apart, {THICK:g} times their voxels' size "
                "or more: networks of slices suit, preprocess with --method kohl_cross_entropy"
            )
        if isinstance(self.view, Slices) and not self.thick and self.shape[0] >= 32:
            yield (
                "voxels are nearly cubes: networks of volumes may suit as well, preprocess with "
                "--method reciprocal_dice"
            )
        if isinstance(self.view, Patches):
            yield "patches: networks that see as much as a patch, good where anatomy is alike"
        if self.subjects < FEW:
            yield (
                f"{self.subjects} subjects are few: train on all folds (--all_folds), and trust no "
                "single one"
            )


def _mm(spacing_mm: np.ndarray, between: str = "x") -> str:
    return between.join(f"{size:.3g}" for size in spacing_mm)
