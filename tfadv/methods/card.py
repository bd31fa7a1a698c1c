"""A method's card: what it does, with which values from where, and how large it is."""

from dataclasses import fields
from typing import Any

from tfadv.methods.method import Method
from tfadv.methods.receptive_field import receptive_field


def card(method: Method, hp: Any, channels: int, maps: int) -> str:
    """Paper, updates in words, hyperparameters with sources, sizes, departures.

    Args:
        maps: of the segmentor's output: classes or regions.
    """
    players = method.build(hp, channels, [f"map_{number}" for number in range(maps)])
    counts = _consecutive([update.words for update in players.schedule])
    lines = [
        f"{method.name}: {method.summary}",
        f"paper: {method.paper}",
        f"view: {method.view}   minibatches a step: {players.minibatches}",
        "updates of one step:",
        *(f"  {number}x {words}" for words, number in counts),
        "hyperparameters:",
        *(
            f"  {f.name} = {getattr(hp, f.name)!r}   (default {method.default(f.name)!r}; "
            f"{f.metadata['source']})"
            for f in fields(hp)
        ),
        *(f"{name} parameters: {net.count_params()}" for name, net in players.networks.items()),
        f"segmentor receptive field: {receptive_field(players.networks['segmentor'])}",
        "departures from the paper:",
        *(f"  - {departure}" for departure in method.departures),
    ]
    return "\n".join(lines)


def _consecutive(words: list[str]) -> list[tuple[str, int]]:
    """Equal neighbours counted."""
    counts: list[tuple[str, int]] = []
    for word in words:
        if counts and counts[-1][0] == word:
            counts[-1] = (word, counts[-1][1] + 1)
        else:
            counts.append((word, 1))
    return counts
