"""A study's figures of scores: fewer and fewer subjects, regions."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tfadv.evaluation import boxplots, figures
from tfadv.evaluation.measures import Measure


def palette(lines: Sequence[str]) -> dict[str, str]:
    """A colour for each line, the same in all figures."""
    return {line: to_hex(figures.COLOURS(n % figures.COLOURS.N)) for n, line in enumerate(lines)}


def by_amount(
    scores: pd.DataFrame,
    gains: pd.DataFrame,
    amounts: Mapping[float, str],
    measures: Sequence[Measure],
    colours: Mapping[str, str],
) -> bytes:
    """A PNG as Kohl et al. 2017, Fig. 3: scores over the amount of data, and the gain in median.

    Boxes reach from quartile to quartile, whiskers to the last subject within 1.5 times that; every
    subject is a dot.

    Args:
        scores: a row per subject with its fraction, line and measures.
        gains: `statistics.median_gains` of the same region.
        amounts: by fraction, the least first, what stands on the axis.
        measures: a column of panels each.
    """
    baseline, *others = colours
    size = (max(5.0, 1.2 + 0.35 * len(colours) * len(amounts)) * len(measures), 6.0)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(
        2, len(measures), squeeze=False, sharex=True, height_ratios=(3, 2) if others else (3, 0.01)
    )
    places = {fraction: place for place, fraction in enumerate(amounts)}
    for (upper, lower), measure in zip(grid.T, measures, strict=True):
        _boxes(upper, scores, measure.name, "fraction", list(amounts), colours, "vertical")
        upper.set_ylabel(measure.title)
        upper.grid(axis="y", alpha=0.4)
        if measure.scale == "share":
            _share(upper)
        for number, line in enumerate(others):
            chosen = gains[(gains["measure"] == measure.name) & (gains["line"] == line)].dropna()
            shift = 0.1 * (number - (len(others) - 1) / 2)
            x = chosen["fraction"].map(places) + shift
            lower.plot(*_ascending(x, chosen["gain"]), "o-", c=colours[line])
        lower.axhline(0, c=colours[baseline])
        lower.set_ylabel(f"relative gain in median\nover {baseline} (%)")
        lower.set_xlabel("positive training subjects")
        lower.set_xticks(range(len(amounts)), list(amounts.values()))
        lower.grid(axis="y", alpha=0.4)
    _boxes_legend(figure, colours)
    return figures.encode_png(figure)


def by_region(
    scores: pd.DataFrame,
    regions: Sequence[str],
    measures: Sequence[Measure],
    colours: Mapping[str, str],
) -> bytes:
    """A PNG of all lines' scores by region, a panel per measure.

    Args:
        scores: a row per subject with its region, line and measures.
    """
    height = 1.4 + len(regions) * (0.2 + 0.24 * len(colours))
    figure = Figure(figsize=(3.4 * len(measures) + 1, height), layout="constrained")
    axes = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axis, measure in zip(axes, measures, strict=True):
        _boxes(axis, scores, measure.name, "region", regions, colours, "horizontal")
        axis.set_title(measure.title, fontsize=10)
        axis.grid(axis="x", alpha=0.4)
        boxplots.scale_axis(axis, measure, scores[measure.name].min())
    axes[0].set_yticks(range(len(regions)), regions)
    axes[0].set_ylim(len(regions) - 0.5, -0.5)  # The first region on top.
    _boxes_legend(figure, colours)
    return figures.encode_png(figure)


def _boxes(
    axis: Axes,
    scores: pd.DataFrame,
    measure: str,
    group: str,
    order: Sequence[object],
    colours: Mapping[str, str],
    orientation: Literal["vertical", "horizontal"],
) -> None:
    """Boxes of the lines beside each other in every group, and a dot for each subject."""
    width = 0.8 / len(colours)
    for number, (line, colour) in enumerate(colours.items()):
        own = scores[scores["line"] == line]
        values = [own.loc[own[group] == name, measure].dropna().to_numpy() for name in order]
        places = np.arange(len(order)) + width * (number - (len(colours) - 1) / 2)
        boxplots.draw_boxes(axis, values, places, 0.85 * width, colour, orientation)
        across, along = np.repeat(places, [len(v) for v in values]), np.concatenate(values)
        dots = (across, along) if orientation == "vertical" else (along, across)
        axis.plot(*dots, "k.", ms=5, alpha=0.4, mew=0)


def _share(axis: Axes) -> None:
    axis.ticklabel_format(axis="y", useOffset=False)
    bottom, top = axis.get_ylim()
    axis.set_ylim(max(bottom, -0.03), min(top, 1.03))


def _ascending(x: pd.Series, y: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(x.to_numpy())
    return x.to_numpy()[order], y.to_numpy()[order]


def _boxes_legend(figure: Figure, colours: Mapping[str, str]) -> None:
    handles = [Patch(fc=colour, ec="black", label=line) for line, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
