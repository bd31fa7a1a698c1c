"""Label files as class indices."""

from pathlib import Path

import numpy as np

from tfrecords.geometry.grid import Grid
from tfrecords.geometry.nifti import read
from tfrecords.geometry.resample import to_working
from tfrecords.sources.subject import LabelClass, class_indices


def read_classes(
    path: Path, classes: tuple[LabelClass, ...], working: Grid, ignored: tuple[int, ...] = ()
) -> np.ndarray:
    """A label file's class indices on a working grid, uint8 [Z, Y, X], IGNORED among them.

    The file's values are whole numbers, of whatever type, and each belongs to a class or is
    ignored.
    """
    label, source = read(path)
    # Indices first: of two values of one class, resampling sees one.
    indices = class_indices(np.rint(label).astype(np.int64), classes, ignored)
    return to_working(indices, source, working, label=True)
