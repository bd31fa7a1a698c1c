"""Pictures: image, reference and prediction side by side, and two runs side by side."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
import matplotlib.lines
import matplotlib.patches
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator

from tfadv.evaluation.measures import Measure

COLOURS = mpl.colormaps["tab10"]
RUN_COLOURS = ("tab:blue", "tab:green")
# Of `boxplots`: the markers of Moeskops et al. 2017, Fig. 3.
MARKERS = {"**": ("*", 11, "p < 0.01"), "*": ("o", 6, "p < 0.05")}

CURVE_MARKERS = "os^Dv"


@dataclass(frozen=True)
class Slice:
    """One subject's slice: image [Y, X], label maps [Y, X] of class indices, a pixel's y/x size."""

    subject: str
    image: np.ndarray
    maps: tuple[np.ndarray, ...]
    aspect: float


def comparison(
    image: np.ndarray,
    reference: np.ndarray,
    prediction: np.ndarray,
    modalities: Sequence[str],
    classes: Sequence[str],
    title: str = "",
) -> bytes:
    """A PNG of the axial slice with most foreground in the reference.

    Args:
        image: [Z, Y, X, C].
        reference: class indices [Z, Y, X].
        prediction: class indices [Z, Y, X].
    """
    z = int(np.argmax((reference > 0).sum(axis=(1, 2))))
    panels = len(modalities) + 2
    figure = Figure(figsize=(2.6 * panels, 3.2), layout="constrained")
    axes = figure.subplots(1, panels)
    for axis, name, channel in zip(axes, modalities, np.moveaxis(image[z], -1, 0), strict=False):
        axis.imshow(channel.astype(np.float32), cmap="gray", origin="lower")
        axis.set_title(name, fontsize=9)
    for axis, name, labels in zip(
        axes[-2:], ("reference", "prediction"), (reference, prediction), strict=True
    ):
        axis.imshow(image[z, ..., -1].astype(np.float32), cmap="gray", origin="lower")
        axis.imshow(coloured(labels[z], 0.65), origin="lower", interpolation="nearest")
        axis.set_title(name, fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    class_legend(figure, classes)
    figure.suptitle(title, fontsize=9)
    return encode_png(figure)


def label_maps(rows: Sequence[Slice], columns: Sequence[str], classes: Sequence[str]) -> bytes:
    """A PNG with a row per subject: its image, then its label maps in colours on black.

    Args:
        columns: titles, of the image and of each label map.
        classes: names by index, the background first.
    """
    figure = Figure(figsize=(2.6 * len(columns), 2.8 * len(rows) + 0.6), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for axes, row in zip(grid, rows, strict=True):
        axes[0].imshow(row.image.astype(np.float32), cmap="gray", origin="lower", aspect=row.aspect)
        for axis, labels in zip(axes[1:], row.maps, strict=True):
            on_black = coloured(labels, 1.0)[..., :3] * (labels > 0)[..., None]
            axis.imshow(on_black, origin="lower", interpolation="nearest", aspect=row.aspect)
        axes[0].set_ylabel(row.subject, fontsize=9)
    for axis in grid.flat:
        axis.set(xticks=[], yticks=[])
    for axis, title in zip(grid[0], columns, strict=True):
        axis.set_title(title, fontsize=9)
    class_legend(figure, classes)
    return encode_png(figure)


def boxplots(
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]],
    marks: Mapping[str, str],
    names: tuple[str, str],
) -> bytes:
    """A PNG of two runs' Dice by class, side by side, as Moeskops et al. 2017, Fig. 3.

    Boxes reach from quartile to quartile, whiskers to the last subject within 1.5 times that; the
    others are drawn one by one. A red star or circle above a class says that the second run is
    significantly better there; one that is significantly worse gets none.

    Args:
        scores: by class or region, both runs' Dice of each subject.
        marks: by class or region, "**" for a star, "*" for a circle, "" for none.
        names: of the runs, the first in blue, the second in green.
    """
    figure = Figure(figsize=(2.5 + 0.9 * len(scores), 3.8), layout="constrained")
    axis = figure.subplots()
    for run, colour in enumerate(RUN_COLOURS):
        places = np.arange(len(scores)) + (-0.18, 0.18)[run]
        boxes(axis, [pair[run] for pair in scores.values()], places, 0.3, colour)
    for place, region in enumerate(scores):
        if marks[region]:
            marker, size, _ = MARKERS[marks[region]]
            above = axis.get_xaxis_transform()
            axis.plot(place, 1.04, marker, c="red", ms=size, transform=above, clip_on=False)
    axis.set_xticks(range(len(scores)), list(scores))
    axis.set_ylabel("Dice")
    axis.grid(axis="y", alpha=0.4)
    handles = [
        mpl.patches.Patch(facecolor=colour, edgecolor="black", label=name)
        for colour, name in zip(RUN_COLOURS, names, strict=True)
    ] + [
        mpl.lines.Line2D([], [], ls="", marker=marker, c="red", ms=size, label=f"better, {p}")
        for mark, (marker, size, p) in MARKERS.items()
        if mark in marks.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return encode_png(figure)


def measure_boxplots(
    scores: Mapping[Measure, Mapping[str, np.ndarray]],
) -> bytes:
    """A PNG of one run's scores, a panel per measure, as Peiris et al. 2021, Fig. 3.

    Boxes and whiskers as in `boxplots`, but lying, so that regions' names have room. A region
    without any number says so.

    Args:
        scores: by measure and region, a number for each subject. Nan is left out.
    """
    regions = list(next(iter(scores.values())))
    figure = Figure(figsize=(3 * len(scores) + 1, 1.1 + 0.42 * len(regions)), layout="constrained")
    axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for axis, (measure, of_regions) in zip(axes, scores.items(), strict=True):
        values = [of_regions[region][~np.isnan(of_regions[region])] for region in regions]
        boxes(axis, values, np.arange(len(regions)), 0.6, RUN_COLOURS[0], "horizontal")
        for place, known in enumerate(values):
            if not known.size:
                across = axis.get_yaxis_transform()
                axis.text(0.5, place, "undefined", ha="center", va="center", transform=across)
        axis.set_title(measure.title, fontsize=10)
        axis.grid(axis="x", alpha=0.4)
        scale(axis, measure)
    axes[0].set_yticks(range(len(regions)), regions)
    axes[0].set_ylim(len(regions) - 0.4, -0.6)  # The first region on top.
    return encode_png(figure)


def curves(panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]], y: str) -> bytes:
    """A PNG of panels side by side, with one vertical axis and one legend.

    Args:
        panels: by the horizontal axis' title and by line, the points' two coordinates. The first
            panel's lines are in all.
        y: title of the vertical axis.
    """
    figure = Figure(figsize=(3.4 * len(panels) + 0.6, 3.8), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for number, (name, points) in enumerate(lines.items()):
            marker = CURVE_MARKERS[number % len(CURVE_MARKERS)]
            colour = COLOURS(number % COLOURS.N)
            axis.plot(*points, c=colour, marker=marker, ms=5, label=name)
        axis.set_xlabel(title)
        axis.grid(alpha=0.4)
    axes[0].set_ylabel(y)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return encode_png(figure)


def slice_of_most_classes(labels: np.ndarray) -> int:
    """The axial slice z of class indices [Z, Y, X] that shows most of all foreground classes.

    A class counts by its area in the slice over its largest area in any, so that a large one does
    not outweigh the others. The middle slice where there is only background.
    """
    areas = [(labels == index).sum(axis=(1, 2)) for index in np.unique(labels[labels > 0])]
    if not areas:
        return len(labels) // 2
    return int(np.argmax(sum(area / area.max() for area in areas)))


def scale(axis: Axes, measure: Measure, nearest: float = 0.0) -> None:
    """Scales a horizontal axis for numbers of a measure, no longer than they need.

    A subject that is charged hundreds of mm would press the others' boxes flat, so distances are
    linear to 1 and logarithmic beyond.

    Args:
        nearest: the least distance there is; where it is beyond 1 the axis begins below it.
    """
    if measure.scale == "distance":
        axis.set_xscale("symlog", linthresh=1)
        axis.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=(1, 3)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlim(0.8 * nearest if nearest > 1 else -0.1, max(1.1, axis.get_xlim()[1]))
        return
    axis.ticklabel_format(axis="x", useOffset=False)
    axis.locator_params(axis="x", nbins=5)
    if measure.scale == "share":
        left, right = axis.get_xlim()
        axis.set_xlim(max(left, -0.01), min(right, 1.01))


def boxes(
    axis: Axes,
    values: Sequence[np.ndarray],
    places: np.ndarray,
    width: float,
    colour: str,
    orientation: Literal["vertical", "horizontal"] = "vertical",
) -> None:
    """Draws a box for each of the values at its place, all in one colour."""
    axis.boxplot(
        values,
        positions=places,
        widths=width,
        orientation=orientation,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": colour},
        medianprops={"color": "black"},
        flierprops={"markersize": 3},
    )


def class_legend(figure: Figure, classes: Sequence[str]) -> None:
    """Names the colours of all classes but the first, the background, below the figure."""
    handles = [
        mpl.patches.Patch(color=COLOURS(index % COLOURS.N), label=name)
        for index, name in enumerate(classes[1:])
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=8, frameon=False)


def coloured(labels: np.ndarray, opacity: float) -> np.ndarray:
    """RGBA [Y, X, 4] of class indices, the background transparent."""
    colours = COLOURS((labels.astype(int) - 1) % COLOURS.N)
    colours[..., 3] = np.where(labels > 0, opacity, 0.0)
    return colours


def encode_png(figure: Figure) -> bytes:
    """The drawn figure as a PNG."""
    FigureCanvasAgg(figure)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return png.getvalue()
