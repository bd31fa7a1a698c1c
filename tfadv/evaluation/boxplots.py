"""Box plots of subjects' scores: of one run, and of two runs side by side.

Boxes reach from quartile to quartile, whiskers to the last subject within 1.5 times that; the
others are drawn one by one.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import SymmetricalLogLocator

from tfadv.evaluation.figures import encode_png
from tfadv.evaluation.measures import Measure

RUN_COLOURS = ("tab:blue", "tab:green")
# Of `of_two_runs`: the markers of Moeskops et al. 2017, Fig. 3.
MARKERS = {"**": ("*", 11, "p < 0.01"), "*": ("o", 6, "p < 0.05")}


def of_two_runs(
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]],
    marks: Mapping[str, str],
    names: tuple[str, str],
) -> bytes:
    """A PNG of two runs' Dice by class, side by side, as Moeskops et al. 2017, Fig. 3.

    A red star or circle above a class says that the second run is
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
        draw_boxes(axis, [pair[run] for pair in scores.values()], places, 0.3, colour)
    for place, region in enumerate(scores):
        if marks[region]:
            marker, size, _ = MARKERS[marks[region]]
            above = axis.get_xaxis_transform()
            axis.plot(place, 1.04, marker, c="red", ms=size, transform=above, clip_on=False)
    axis.set_xticks(range(len(scores)), list(scores))
    axis.set_ylabel("Dice")
    axis.grid(axis="y", alpha=0.4)
    handles = [
        Patch(facecolor=colour, edgecolor="black", label=name)
        for colour, name in zip(RUN_COLOURS, names, strict=True)
    ] + [
        Line2D([], [], ls="", marker=marker, c="red", ms=size, label=f"better, {p}")
        for mark, (marker, size, p) in MARKERS.items()
        if mark in marks.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return encode_png(figure)


def of_one_run(
    scores: Mapping[Measure, Mapping[str, np.ndarray]],
) -> bytes:
    """A PNG of one run's scores, a panel per measure, as Peiris et al. 2021, Fig. 3.

    Boxes lie, so that regions' names have room. A region without any number says so.

    Args:
        scores: by measure and region, a number for each subject. Nan is left out.
    """
    regions = list(next(iter(scores.values())))
    figure = Figure(figsize=(3 * len(scores) + 1, 1.1 + 0.42 * len(regions)), layout="constrained")
    axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for axis, (measure, of_regions) in zip(axes, scores.items(), strict=True):
        values = [of_regions[region][~np.isnan(of_regions[region])] for region in regions]
        draw_boxes(axis, values, np.arange(len(regions)), 0.6, RUN_COLOURS[0], "horizontal")
        for place, known in enumerate(values):
            if not known.size:
                across = axis.get_yaxis_transform()
                axis.text(0.5, place, "undefined", ha="center", va="center", transform=across)
        axis.set_title(measure.title, fontsize=10)
        axis.grid(axis="x", alpha=0.4)
        scale_axis(axis, measure)
    axes[0].set_yticks(range(len(regions)), regions)
    axes[0].set_ylim(len(regions) - 0.4, -0.6)  # The first region on top.
    return encode_png(figure)


def draw_boxes(
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


def scale_axis(axis: Axes, measure: Measure, nearest: float = 0.0) -> None:
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
