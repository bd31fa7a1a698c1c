"""A method's card: what it does, with which values from where, and how large it is."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import groupby

import keras

from tfadv.methods.method import Method
from tfadv.methods.receptive_field import receptive_field
from tfadv.players import Players

# Weights of normalisation, whichever layer has them. Papers do not count them.
NORMALISATION = {"gamma", "beta", "moving_mean", "moving_variance"}


def card(method: Method, players: Players) -> str:
    """Paper, updates in words, hyperparameters with bounds and sources, sizes, departures.

    Args:
        players: the method's (`Method.players`), for some number of modalities and maps.
    """
    found = sizes(players)
    lines = [
        f"{method.name}: {method.summary}",
        f"paper: {method.paper}",
        f"view: {method.view}   minibatches a step: {players.minibatches}, "
        f"each of {method.batch_size} on every replica",
        "updates of one step:",
        *(f"  {len(list(same))}x {words}" for words, same in groupby(map(str, players.schedule))),
        "hyperparameters:",
        *_hyperparameters(method),
        *(f"{name} parameters: {counted(n)}" for name, n in players.networks.items()),
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
        without_normalisation: the same without them, as papers count.
        receptive_field: of the segmentor, in voxels along an axis.
    """

    parameters: dict[str, int]
    without_normalisation: dict[str, int]
    receptive_field: int


def sizes(players: Players) -> Sizes:
    networks = players.networks
    return Sizes(
        {name: network.count_params() for name, network in networks.items()},
        {name: _without_normalisation(network) for name, network in networks.items()},
        receptive_field(networks["segmentor"]),
    )


def counted(network: keras.Model) -> str:
    """Its parameters in words: "142,983, without normalisation 140,039"."""
    every, papers = network.count_params(), _without_normalisation(network)
    return f"{every:,}" + (f", without normalisation {papers:,}" if papers < every else "")


def _without_normalisation(network: keras.Model) -> int:
    weights = (weight for weight in network.weights if weight.name not in NORMALISATION)
    return sum(math.prod(weight.shape) for weight in weights)


def _hyperparameters(method: Method) -> Iterator[str]:
    for known in fields(method):
        check, source = known.metadata["check"], known.metadata["source"]
        yield (
            f"  {known.name} = {getattr(method, known.name)!r}   (default {known.default!r}; "
            f"{check.words}; {source})"
        )
