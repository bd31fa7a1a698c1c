"""A model that may be asked, wherever it is, and its answers. Without TensorFlow, for clients."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfadv.inference.description import Description

# How TensorFlow tells what an assertion of `checks` says, whatever it has to add.
_REFUSED = re.compile(r"assertion failed: \[(.*?):\] (\[.*?\])", re.DOTALL)


class Segmented(NamedTuple):
    """What a model makes of a volume.

    Attributes:
        label: uint8 [Z, Y, X], the dataset's own label values.
        probabilities: float32 [Z, Y, X, K], of the description's `maps`; K is 0 where they were
            not asked for.
        quality: float32 [N], of its `quality`.
    """

    label: np.ndarray
    probabilities: np.ndarray
    quality: np.ndarray


Segment = Callable[[np.ndarray], Segmented]


@dataclass(frozen=True)
class Model:
    """A model in this process or at a server.

    Attributes:
        checksum: SHA-256 of its description, which holds those of its other files.
        open: what gives volumes [Z, Y, X, C], raw intensities, their labels, and their
            probabilities if asked for these.
    """

    description: Description
    checksum: str
    open: Callable[[bool], Segment]


def refusal(message: str) -> str:
    """What a model's graph refuses of a volume, from TensorFlow's message; "" of any other."""
    refused = _REFUSED.search(message)
    return f"{refused[1]}: {refused[2]}" if refused else ""
