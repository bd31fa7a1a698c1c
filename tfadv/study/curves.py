"""A study's figures over the course of training: discriminators, gradients, validation."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfadv.evaluation import figures
from tfadv.study.figures import palette
from tfadv.study.readings import CHANCE, NUMBERS

COLUMNS = 3
EPOCHS: Final = MappingProxyType({"epoch": "epoch"})


def judgements(said: pd.DataFrame) -> bytes:
    """A PNG of what each line's discriminator says of true and of generated maps, by epoch.

    Lines are means over runs, bands reach from the lowest run to the highest.

    Args:
        said: a row per run and epoch with line, epoch, true and generated: probabilities of true.
    """
    lines = list(said["line"].unique())
    rows, columns = math.ceil(len(lines) / COLUMNS), min(COLUMNS, len(lines))
    figure = Figure(figsize=(4 * columns + 0.5, 3 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis, line in zip(axes.flat, lines, strict=False):
        for kind, colour in (("true", "tab:blue"), ("generated", "tab:orange")):
            _curve(axis, said[said["line"] == line], kind, colour, f"of {kind} maps")
        axis.axhline(CHANCE, c="gray", ls="--", label="chance")
        axis.set_title(line, fontsize=10)
        axis.set(xlabel="epoch", ylabel="says: true", ylim=(-0.03, 1.03))
    for axis in axes.flat[len(lines) :]:
        axis.set_axis_off()
    _curves_legend(figure, axes[0, 0])
    return figures.encode_png(figure)


def learning_curves(
    validated: pd.DataFrame,
    title: str,
    colours: Mapping[str, str],
    over: Mapping[str, str] = EPOCHS,
) -> bytes:
    """A PNG of a measure in validation, of all lines; lines and bands as in `judgements`.

    Args:
        validated: a row per run and epoch with line, value, and the columns of `over`, in which
            runs of a line are the same.
        title: of the vertical axis.
        over: titles of the horizontal axes, by column; a panel for each.
    """
    figure = Figure(figsize=(1.5 + 5 * len(over), 3.8), layout="constrained")
    axes = figure.subplots(1, len(over), squeeze=False, sharey=True)[0]
    for axis, (x, words) in zip(axes, over.items(), strict=True):
        for line, colour in colours.items():
            _curve(axis, validated[validated["line"] == line], "value", colour, line, x)
        axis.set_xlabel(words)
    axes[0].set_ylabel(title)
    _curves_legend(figure, *axes)
    return figures.encode_png(figure)


def panels(epochs: pd.Series, values: Mapping[str, pd.Series]) -> bytes:
    """A PNG of what one run computed by epoch, a panel for each number."""
    rows, columns = math.ceil(len(values) / COLUMNS), min(COLUMNS, len(values))
    figure = Figure(figsize=(4 * columns, 2.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, numbers) in zip(axes, values.items(), strict=False):
        axis.plot(epochs, numbers)
        axis.set_title(name, fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.4)
    for axis in axes[len(values) :]:
        axis.set_axis_off()
    for axis in axes[len(values) - columns : len(values)]:
        axis.set_xlabel("epoch")
    return figures.encode_png(figure)


def gradients(read: pd.DataFrame) -> bytes:
    """A PNG of what the microscope read, a row of panels for each line; bands as in `judgements`.

    Args:
        read: a row per run, step and number: line, step, of (a term or judge), what and value.
    """
    lines, of = read["line"].unique(), read["of"].unique()
    colours = palette([str(name) for name in of])
    size = (2.4 * len(NUMBERS) + 0.5, 2.2 * len(lines) + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(lines), len(NUMBERS), squeeze=False, sharex="row")
    for row, line in zip(axes, lines, strict=True):
        for axis, (what, number) in zip(row, NUMBERS.items(), strict=True):
            shown = read[(read["line"] == line) & (read["what"] == what)].dropna()
            for name, own in shown.groupby("of", sort=False):
                _curve(axis, own, "value", colours[str(name)], str(name), "step")
            if number.nothing is None:
                axis.set_yscale("log" if (shown["value"] > 0).any() else "linear")
            else:
                axis.axhline(number.nothing, c="gray", ls="--")
                low = min(-0.03, *shown["value"]) if len(shown) else -0.03
                axis.set_ylim(1.05 * low if low < -0.03 else low, 1.03)
            axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axis.set_title(number.title, fontsize=9)
        row[0].set_ylabel(line)
    for axis in axes[-1]:
        axis.set_xlabel("step")
    _curves_legend(figure, *axes.flat)
    return figures.encode_png(figure)


def _curve(
    axis: Axes, rows: pd.DataFrame, y: str, colour: str, label: str, x: str = "epoch"
) -> None:
    runs = rows.groupby(x)[y].agg(["mean", "min", "max"])
    axis.plot(runs.index, runs["mean"], color=colour, label=label)
    axis.fill_between(runs.index, runs["min"], runs["max"], color=colour, alpha=0.2, lw=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=pd.api.types.is_integer_dtype(rows[x])))
    axis.grid(alpha=0.4)


def _curves_legend(figure: Figure, *axes: Axes) -> None:
    """One for all axes, with each name once."""
    found = {
        name: handle
        for axis in axes
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    handles, names = list(found.values()), list(found)
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
