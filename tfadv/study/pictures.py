"""Label maps of a study's lines side by side, as Kohl et al. 2017, Fig. 2."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfadv.evaluation import figures
from tfadv.inference.targets import scored_regions
from tfadv.run.settings import MEAN
from tfrecords.geometry.nifti import read
from tfrecords.geometry.resample import to_working
from tfrecords.reading.record_set import RecordSet, SubjectVolume, subject_volumes
from tfrecords.records.manifest import Manifest, SubjectRecord
from tfrecords.sources.subject import class_indices

SHOWN = (1, 99)  # Percentiles of a slice's intensities that are black and white.


@dataclass(frozen=True)
class Row:
    """One subject's slice.

    Attributes:
        title: whose it is and why it was chosen.
        images: [Y, X], one per modality.
        maps: class indices [Y, X]: the reference, then one per line.
        aspect: a pixel's height over its width.
    """

    title: str
    images: tuple[np.ndarray, ...]
    maps: tuple[np.ndarray, ...]
    aspect: float


def chosen(dice: pd.DataFrame) -> dict[str, str]:
    """Subjects to draw, each with a title that says why.

    Args:
        dice: a row per subject, a column per line, the baseline first; no nan.

    Returns:
        At most four: those in which the second line differs from the first the most, the median
        and the least, and the one whose better Dice of the two is the lowest. Of a single line,
        its highest, median and lowest.
    """
    if len(dice.columns) == 1:
        ordered = dice.iloc[:, 0].sort_values(ascending=False)
        why = ("the highest Dice", "the median Dice", "the lowest Dice")
        return _merged(zip(_spread(ordered), why, strict=True))
    first, second = dice.columns[:2]
    ordered = (dice[second] - dice[first]).sort_values(ascending=False)
    why = (
        "largest gain" if ordered.iloc[0] > 0 else "smallest loss",
        "median difference",
        "largest loss" if ordered.iloc[-1] < 0 else "smallest gain",
    )
    worst = dice[[first, second]].max(axis=1).idxmin()
    reasons = [
        (subject, f"{reason} of {second} over {first}, {ordered[subject]:+.2f}")
        for subject, reason in zip(_spread(ordered), why, strict=True)
    ]
    return _merged([*reasons, (worst, f"{first} and {second} both do worst")])


def rows(
    records: RecordSet, paths: dict[str, list[Path]], titles: dict[str, str], score: str
) -> list[Row]:
    """Of each subject, the slice with most of a region in the reference.

    Args:
        paths: by subject, the predictions of all lines, on the source's grid.
        titles: by subject, in the order to draw.
        score: the region, or MEAN for all foreground.
    """
    manifest = records.manifest
    origins = {subject.name: subject for subject in manifest.subjects if subject.name in titles}
    members = scored_regions(manifest).get(score) if score != MEAN else None
    found = {}
    for volume in subject_volumes(records, sorted({o.fold for o in origins.values()})):
        if volume.subject in titles:
            origin = origins[volume.subject]
            z = slice_of_most(volume.label, members)
            maps = [label_map(path, volume, origin, manifest)[z] for path in paths[volume.subject]]
            x_mm, y_mm, _ = origin.working.spacing_mm
            found[volume.subject] = Row(
                titles[volume.subject],
                tuple(np.moveaxis(volume.image[z], -1, 0)),
                (volume.label[z], *maps),
                y_mm / x_mm,
            )
    return [found[name] for name in titles]


def slice_of_most(labels: np.ndarray, members: Sequence[int] | None) -> int:
    """The axial slice of class indices [Z, Y, X] with most of these classes.

    Where there is none of them, or None is given, the one that shows most of all classes.
    """
    area = np.isin(labels, members if members is not None else ()).sum(axis=(1, 2))
    return int(np.argmax(area)) if area.any() else figures.slice_of_most_classes(labels)


def label_map(
    path: Path, volume: SubjectVolume, origin: SubjectRecord, manifest: Manifest
) -> np.ndarray:
    """A label map on the source's grid, as class indices [Z, Y, X] of the body's box."""
    label, grid = read(path)
    working = to_working(label, grid, origin.working, label=True)
    box = tuple(
        slice(start, start + extent)
        for start, extent in zip(volume.position, volume.label.shape, strict=True)
    )
    return class_indices(working[box], manifest.classes)


def draw(shown: Sequence[Row], columns: Sequence[str], classes: Sequence[str]) -> bytes:
    """A PNG with a titled row per subject: images, then label maps in colours on black.

    Args:
        columns: titles of the images and of the maps.
        classes: names by index, the background first.
    """
    height = sum(0.75 + 2.2 * _height(row) for row in shown) + 0.4
    figure = Figure(figsize=(2.2 * len(columns), height), layout="constrained")
    ratios = [0.75 + 2.2 * _height(row) for row in shown]
    parts = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=ratios)[:, 0]
    for part, row in zip(parts, shown, strict=True):
        part.suptitle(row.title, fontsize=11)
        axes = part.subplots(1, len(columns), squeeze=False)[0]
        for axis, image in zip(axes, row.images, strict=False):
            _image(axis, image, row.aspect)
        for axis, labels in zip(axes[len(row.images) :], row.maps, strict=True):
            on_black = figures.coloured(labels, 1.0)[..., :3] * (labels > 0)[..., None]
            axis.imshow(on_black, origin="lower", interpolation="nearest", aspect=row.aspect)
        for axis, title in zip(axes, columns, strict=True):
            axis.set(xticks=[], yticks=[])
            axis.set_title(title, fontsize=9, wrap=True)
    figures.class_legend(figure, classes)
    return figures.encode_png(figure)


def _image(axis: Axes, image: np.ndarray, aspect: float) -> None:
    shown = image.astype(np.float32)
    black, white = np.percentile(shown, SHOWN)
    axis.imshow(shown, cmap="gray", origin="lower", aspect=aspect, vmin=black, vmax=white)


def _height(row: Row) -> float:
    """Of a picture as a share of its width."""
    height, width = row.maps[0].shape
    return height * row.aspect / width


def _spread(ordered: pd.Series) -> tuple[str, str, str]:
    """The first, the middle and the last subject."""
    return ordered.index[0], ordered.index[len(ordered) // 2], ordered.index[-1]


def _merged(reasons: Iterable[tuple[str, str]]) -> dict[str, str]:
    merged: dict[str, list[str]] = {}
    for subject, reason in reasons:
        merged.setdefault(subject, []).append(reason)
    return {subject: f"{subject}: {'; '.join(found)}" for subject, found in merged.items()}
