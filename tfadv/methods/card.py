"""A method's card: what it does, with which values from where, and how large it is."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import groupby

from tfadv.adversarial import Players
from tfadv.methods.method import Method
from tfadv.methods.receptive_field import receptive_field


def card(method: Method, channels: int, maps: int) -> str:
    """Paper, updates in words, hyperparameters with bounds and sources, sizes, departures.

    Args:
        maps: of the segmentor's output: classes or regions.
    """
    players = method.players(channels, [f"map_{number}" for number in range(maps)])
    found = sizes(players)
    lines = [
        f"{method.name}: {method.summary}",
        f"paper: {method.paper}",
        f"view: {method.view}   minibatches a step: {players.minibatches}",
        "updates of one step:",
        *(f"  {len(list(same))}x {words}" for words, same in groupby(map(str, players.schedule))),
        "hyperparameters:",
        *_hyperparameters(method),
        *(f"{name} parameters: {count}" for name, count in found.parameters.items()),
        f"segmentor receptive field: {found.receptive_field}",
        "departures from the paper:",
        *(f"  - {departure}" for departure in method.departures),
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Sizes:
    """What papers state of their networks, and what a golden holds.

    Attributes:
        parameters: by network, those of normalisation and its moving statistics included.
        receptive_field: of the segmentor, in voxels along an axis.
    """

    parameters: dict[str, int]
    receptive_field: int


def sizes(players: Players) -> Sizes:
    counts = {name: network.count_params() for name, network in players.networks.items()}
    return Sizes(counts, receptive_field(players.networks["segmentor"]))


def _hyperparameters(method: Method) -> Iterator[str]:
    for known in fields(method):
        check, source = known.metadata["check"], known.metadata["source"]
        yield (
            f"  {known.name} = {getattr(method, known.name)!r}   (default {known.default!r}; "
            f"{check.words}; {source})"
        )
