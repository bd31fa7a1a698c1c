"""A method's card: what it does, with which values from where, and how large it is."""

from collections.abc import Iterator
from dataclasses import fields
from itertools import groupby

from tfadv.methods.method import Method
from tfadv.methods.receptive_field import receptive_field


def card(method: Method, channels: int, maps: int) -> str:
    """Paper, updates in words, hyperparameters with bounds and sources, sizes, departures.

    Args:
        maps: of the segmentor's output: classes or regions.
    """
    players = method.players(channels, [f"map_{number}" for number in range(maps)])
    lines = [
        f"{method.name}: {method.summary}",
        f"paper: {method.paper}",
        f"view: {method.view}   minibatches a step: {players.minibatches}",
        "updates of one step:",
        *(f"  {len(list(same))}x {words}" for words, same in groupby(map(str, players.schedule))),
        "hyperparameters:",
        *_hyperparameters(method),
        *(f"{name} parameters: {net.count_params()}" for name, net in players.networks.items()),
        f"segmentor receptive field: {receptive_field(players.networks['segmentor'])}",
        "departures from the paper:",
        *(f"  - {departure}" for departure in method.departures),
    ]
    return "\n".join(lines)


def _hyperparameters(method: Method) -> Iterator[str]:
    for known in fields(method):
        check, source = known.metadata["check"], known.metadata["source"]
        yield (
            f"  {known.name} = {getattr(method, known.name)!r}   (default {known.default!r}; "
            f"{check.words}; {source})"
        )
