"""What preprocessing tells of subjects that stand out among the others, meant so or not."""

from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from tfrecords.names import NAMED, shortened
from tfrecords.sources.subject import Dataset
from tfrecords.writing.parts import Source
from tfrecords.writing.scan import Scan

SPREAD = 0.2  # Of a spacing about the median, relative to it.
MASK = 255  # What image editors write where a mask is 1.


def tell(dataset: Dataset, sources: Sequence[Source], scans: Mapping[str, Scan]) -> None:
    """Warns of classes, label values, spacings and images that stand out among the subjects.

    Args:
        scans: of the dataset's subjects, by name.
    """
    labelled = [scans[s.name] for s in dataset.subjects if s.label is not None]
    notices = [*_rare_classes(dataset, labelled), *_masks_of_255(labelled, dataset.ignored)]
    notices += [*_odd_spacings(sources), *_equal_modalities(dataset, scans)]
    for notice in notices:
        logging.warning("%s", notice)


def _rare_classes(dataset: Dataset, scans: Sequence[Scan]) -> list[str]:
    """A line for each class that no subject has, or one alone of several."""
    found = []
    for one in dataset.classes[1:]:
        owners = [scan.subject for scan in scans if set(one.labels) & set(scan.label_counts)]
        if not owners or len(owners) == 1 < len(scans) - 1:
            subject = f"only {owners[0]}" if owners else "no subject"
            values = ", ".join(map(str, one.labels))
            found.append(f"{subject} has class {one.name} (value {values})")
    more = len(found) - NAMED
    return found[:NAMED] + ([f"and so it is with {more} more classes"] if more > 0 else [])


def _masks_of_255(scans: Sequence[Scan], ignored: Sequence[int]) -> list[str]:
    """Of masks of 0 and 255 among others with smaller values."""
    foreground = {scan.subject: set(scan.label_counts) - {0, *ignored} for scan in scans}
    masks = [name for name, values in foreground.items() if values == {MASK}]
    if not masks or all(MASK in values for values in foreground.values() if values):
        return []
    return [
        f"the label maps of {len(masks)} of {len(scans)} subjects hold 0 and {MASK} alone, while "
        f"others hold other values: {shortened(masks)}. If {MASK} means 1 there, write it so"
    ]


def _odd_spacings(sources: Sequence[Source]) -> list[str]:
    spacings = np.array([source.working.spacing_mm for source in sources])
    median = np.median(spacings, axis=0)
    odd = (abs(spacings - median) > SPREAD * median).any(axis=1)
    names = [
        f"{source.subject.name} ({_joined(spacing, ' x ')})"
        for source, spacing, differs in zip(sources, spacings, odd, strict=True)
        if differs
    ]
    if not names:
        return []
    return [
        f"the spacing of {len(names)} of {len(sources)} subjects differs by more than "
        f"{100 * SPREAD:g} % from the median, {_joined(median, ' x ')} mm: {shortened(names)}. "
        f"Networks see voxels: give --spacing={_joined(median, ',')} to resample all"
    ]


def _joined(spacing_mm: np.ndarray, between: str) -> str:
    return between.join(f"{mm:.4g}" for mm in spacing_mm)


def _equal_modalities(dataset: Dataset, scans: Mapping[str, Scan]) -> list[str]:
    """Of subjects with copies of one file for several modalities."""
    names = []
    for subject in dataset.subjects:
        checksums = scans[subject.name].checksums
        if len({checksums[str(path)] for path in subject.images}) < len(subject.images):
            names.append(subject.name)
    if not names:
        return []
    return [
        f"{len(names)} of {len(scans)} subjects have the same content in several modalities: "
        f"{shortened(names)}"
    ]
