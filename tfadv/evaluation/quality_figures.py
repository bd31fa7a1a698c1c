"""Pictures of what a model says of its label maps, beside their Dice."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from tfadv.evaluation.figures import COLOURS, encode_png


def of_model(
    said: Mapping[str, np.ndarray],
    dice: np.ndarray,
    kinds: np.ndarray,
    risks: Mapping[str, np.ndarray],
) -> bytes:
    """A PNG: a panel of Dice over each number [N], then the risk-coverage curves.

    Args:
        kinds: of images [N], each of which has a colour.
        risks: curves [N] by name.
    """
    panels = len(said) + 1
    figure = Figure(figsize=(3.3 * panels, 3.8), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis, (name, values) in zip(axes, said.items(), strict=False):
        for number, kind in enumerate(dict.fromkeys(kinds)):
            chosen = kinds == kind
            axis.scatter(
                values[chosen], dice[chosen], s=12, alpha=0.7, c=[COLOURS(number)], label=kind
            )
        axis.set_xlabel(name)
        axis.grid(alpha=0.4)
    axes[0].set_ylabel("mean Dice")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    for number, (name, curve) in enumerate(risks.items()):
        coverage = np.arange(1, len(curve) + 1) / len(curve)
        axes[-1].plot(coverage, curve, c=COLOURS(number), label=name)
    axes[-1].set_xlabel("coverage: share of images trusted")
    axes[-1].set_ylabel("risk: mean of 1 - Dice")
    axes[-1].legend(fontsize=8)
    axes[-1].grid(alpha=0.4)
    return encode_png(figure)
