"""What importance sampling favours, and how large its share of a batch is."""

from dataclasses import dataclass

import numpy as np

from tfrecords.records.contents import contents_of
from tfrecords.records.manifest import Shard


@dataclass(frozen=True)
class Favoured:
    """Examples of some groups, and those that hold some classes.

    Attributes:
        share: expected share of a batch.
        names: of what is favoured, for words.
        groups: all examples of their subjects.
        classes: indices of classes; an example holds one if any voxel of its label is of it.
    """

    share: float
    names: tuple[str, ...]
    groups: frozenset[str] = frozenset()
    classes: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return " or ".join(self.names)

    def of(self, shard: Shard) -> np.ndarray:
        """bool [N]: which of a shard's examples these are."""
        if shard.group in self.groups:
            return np.ones(shard.examples, bool)
        holds = contents_of(shard).holds[:, sorted(self.classes)]
        return np.asarray(holds.any(axis=1))
