"""What every picture shares: colours of classes, curves, and the PNG; and a subject's picture."""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tfrecords.sources.subject import IGNORED

PANELS = 2  # In a row of a subject's picture: where it is shown small, more are not to be seen.
COLOURS = mpl.colormaps["tab10"]
CURVE_MARKERS = "os^Dv"


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
    z = most_foreground(reference)
    panels = len(modalities) + 2
    rows = -(-panels // PANELS)
    columns = -(-panels // rows)
    figure = Figure(figsize=(3.2 * columns, 3.3 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
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
    class_legend(figure, classes, ignored=bool((reference[z] == IGNORED).any()))
    figure.suptitle(title, fontsize=11)
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


def class_legend(figure: Figure, classes: Sequence[str], *, ignored: bool = False) -> None:
    """Names the colours of all classes but the first, the background, below the figure.

    Args:
        ignored: whether there are voxels that nobody annotated.
    """
    handles = [
        Patch(color=COLOURS(index % COLOURS.N), label=name)
        for index, name in enumerate(classes[1:])
    ]
    if ignored:
        handles.append(Patch(facecolor="white", edgecolor="black", label="not annotated"))
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=8, frameon=False)


def coloured(labels: np.ndarray, opacity: float) -> np.ndarray:
    """RGBA [Y, X, 4] of class indices: the background transparent, white where nobody annotated."""
    colours = COLOURS((labels.astype(int) - 1) % COLOURS.N)
    colours[labels == IGNORED] = 1.0
    colours[..., 3] = np.where(labels > 0, opacity, 0.0)
    return colours


def most_foreground(labels: np.ndarray) -> int:
    """The axial slice z of class indices [Z, Y, X] that a picture shows."""
    return int(np.argmax(foreground(labels).sum(axis=(1, 2))))


def foreground(labels: np.ndarray) -> np.ndarray:
    """Where class indices are of a class other than the background."""
    return (labels > 0) & (labels != IGNORED)


def encode_png(figure: Figure) -> bytes:
    """The drawn figure as a PNG."""
    FigureCanvasAgg(figure)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return png.getvalue()
