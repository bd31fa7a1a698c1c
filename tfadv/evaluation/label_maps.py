"""Label maps of several runs in a row, a row per subject, as Kohl et al. 2017, Fig. 2."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfadv.evaluation import figures
from tfadv.evaluation.masks import where_annotated
from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet, label_in_body, subject_volumes
from tfrecords.sources.subject import IGNORED

SHOWN = (1, 99)  # Percentiles of a slice's intensities that are black and white.


@dataclass(frozen=True)
class Row:
    """One subject's slice.

    Attributes:
        title: whose it is, and why it was chosen.
        images: [Y, X], one per modality.
        maps: class indices [Y, X]: the reference, then one per run.
        aspect: a pixel's height over its width.
    """

    title: str
    images: tuple[np.ndarray, ...]
    maps: tuple[np.ndarray, ...]
    aspect: float

    @property
    def height(self) -> float:
        """Of a picture as a share of its width."""
        height, width = self.maps[0].shape
        return height * self.aspect / width


def slice_of_most_classes(labels: np.ndarray) -> int:
    """The axial slice z of class indices [Z, Y, X] that shows most of all foreground classes.

    A class counts by its area in the slice over its largest area in any, so that a large one does
    not outweigh the others. The middle slice where there is only background.
    """
    classes = np.unique(labels[figures.foreground(labels)])
    areas = [(labels == index).sum(axis=(1, 2)) for index in classes]
    if not areas:
        return len(labels) // 2
    return int(np.argmax(sum(area / area.max() for area in areas)))


def read_rows(
    records: RecordSet,
    titles: Mapping[str, str],
    paths: Mapping[str, Sequence[Path]],
    choose: Callable[[np.ndarray], int] = slice_of_most_classes,
) -> list[Row]:
    """A row per subject, with all modalities.

    Args:
        titles: by subject, in the order to draw.
        paths: by subject, the runs' predictions, on the source's grid.
        choose: the slice z to show of a reference's class indices [Z, Y, X].

    Raises:
        UserError: the record set no longer holds these subjects, or a label map cannot be read.
    """
    origins = {subject.name: subject for subject in records.manifest.subjects}
    unknown = [name for name in titles if name not in origins]
    if unknown:
        raise UserError(
            f"{records.folder}: expected the subjects {', '.join(unknown)}, which were evaluated; "
            "it has been made anew without them. Train and evaluate again"
        )
    found = {}
    for volume in subject_volumes(records, sorted({origins[name].fold for name in titles})):
        name = volume.subject
        if name in titles:
            origin, z = origins[name], choose(volume.label)
            maps = [label_in_body(path, volume, origin, records.manifest) for path in paths[name]]
            x_mm, y_mm, _ = origin.working.spacing_mm
            found[name] = Row(
                titles[name],
                tuple(np.moveaxis(volume.image[z], -1, 0)),
                (volume.label[z], *(where_annotated(m, volume.label)[z] for m in maps)),
                y_mm / x_mm,
            )
    return [found[name] for name in titles]


def draw(rows: Sequence[Row], columns: Sequence[str], classes: Sequence[str]) -> bytes:
    """A PNG with a titled row per subject: images, then label maps in colours on black.

    Args:
        columns: titles of the images and of the maps.
        classes: names by index, the background first.
    """
    heights = [0.75 + 2.2 * row.height for row in rows]
    figure = Figure(figsize=(2.2 * len(columns), sum(heights) + 0.4), layout="constrained")
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, row in zip(parts, rows, strict=True):
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
    ignored = any((row.maps[0] == IGNORED).any() for row in rows)
    figures.class_legend(figure, classes, ignored=ignored)
    return figures.encode_png(figure)


def _image(axis: Axes, image: np.ndarray, aspect: float) -> None:
    shown = image.astype(np.float32)
    black, white = np.percentile(shown, SHOWN)
    axis.imshow(shown, cmap="gray", origin="lower", aspect=aspect, vmin=black, vmax=white)
