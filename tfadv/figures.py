"""Pictures: image, reference and prediction side by side."""

import io
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.patches
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = mpl.colormaps["tab10"]


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
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels)
    for axis, name, channel in zip(axes, modalities, np.moveaxis(image[z], -1, 0), strict=False):
        axis.imshow(channel.astype(np.float32), cmap="gray", origin="lower")
        axis.set_title(name, fontsize=9)
    for axis, name, labels in zip(
        axes[-2:], ("reference", "prediction"), (reference, prediction), strict=True
    ):
        axis.imshow(image[z, ..., -1].astype(np.float32), cmap="gray", origin="lower")
        axis.imshow(_coloured(labels[z]), origin="lower", interpolation="nearest")
        axis.set_title(name, fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    handles = [
        mpl.patches.Patch(color=COLOURS(index), label=name)
        for index, name in enumerate(classes[1:])
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=9)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return png.getvalue()


def _coloured(labels: np.ndarray) -> np.ndarray:
    """RGBA [Y, X, 4] of class indices, the background transparent."""
    coloured = COLOURS((labels.astype(int) - 1) % COLOURS.N)
    coloured[..., 3] = np.where(labels > 0, 0.65, 0.0)
    return coloured
