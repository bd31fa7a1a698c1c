"""Label files: what is wrong with them, and their class indices."""

from pathlib import Path

import numpy as np

from tfrecords.errors import UserError
from tfrecords.geometry.grid import Grid
from tfrecords.geometry.nifti import read_volume
from tfrecords.geometry.resample import to_working
from tfrecords.sources.subject import LabelClass, class_indices

COUNTABLE = 2**16


def read_classes(
    path: Path,
    classes: tuple[LabelClass, ...],
    working: Grid,
    ignored: tuple[int, ...] = (),
    *,
    source: Grid,
    sha256: str = "",
) -> np.ndarray:
    """A label file's class indices on a working grid, uint8 [Z, Y, X], IGNORED among them.

    Args:
        source: the grid of the images, on which the file lies, too.
        sha256: what it was when the file was checked; empty if it was not.

    Raises:
        UserError: the file cannot be read, has changed, lies elsewhere, or has other values than
            whole numbers that belong to classes or are ignored.
    """
    volume = read_volume(path, sha256)
    findings = label_findings(path, volume.array, classes, ignored)
    if not findings and not volume.grid.matches(source):
        findings = [f"{path}: expected the grid {source}, received {volume.grid}"]
    if findings:
        raise UserError("; ".join(findings))
    # Indices first: of two values of one class, resampling sees one.
    values = volume.array if volume.array.dtype.kind in "iu" else volume.array.astype(np.uint8)
    indices = class_indices(values, classes, ignored)
    return to_working(indices, volume.grid, working, label=True)


def label_findings(
    path: Path, label: np.ndarray, classes: tuple[LabelClass, ...], ignored: tuple[int, ...] = ()
) -> list[str]:
    """What is wrong with a label map's shape and values. Without classes, a byte holds them."""
    if label.ndim != 3:
        return [f"{path}: expected a 3D label map, received shape {label.shape}"]
    values, _ = counted(label)
    if not np.isfinite(values).all() or (values != np.rint(values)).any():
        odd = [float(v) for v in values if not np.isfinite(v) or v != np.rint(v)][:5]
        return [f"{path}: labels are not whole numbers (for example {odd})"]
    known = {v for c in classes for v in c.labels} if classes else set(range(256))
    known |= set(ignored)
    unknown = sorted({int(v) for v in values} - known)
    if unknown:
        expected = sorted(known) if classes else "0 to 255"
        return [f"{path}: unknown labels {unknown[:10]}, expected {expected}"]
    if set(values.tolist()) <= set(ignored):
        return [
            f"{path}: every voxel is ignored (label {int(values[0])}), expected some that are "
            "annotated"
        ]
    return []


def counted(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of a label map, in order, and the voxels of each; as `np.unique` does."""
    if label.dtype.kind in "iu" and label.size:
        least, most = int(label.min()), int(label.max())
        if most - least < COUNTABLE and most <= np.iinfo(np.intp).max:
            # Two to six times faster than to sort every voxel.
            voxels = np.bincount(label.ravel(order="K").astype(np.intp) - least)
            (found,) = np.nonzero(voxels)
            return (found + least).astype(label.dtype), voxels[found]
    return np.unique(label, return_counts=True)
