"""Recipes of batches of `small_records`, and what is asked of what they give."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords.reading.augmentation import Augmentation
from tfrecords.reading.favoured import Favoured
from tfrecords.reading.recipe import Recipe
from tfrecords.records.views import Slices

Records = tuple[Any, Path]
Batches = Callable[..., list[dict[str, np.ndarray]]]
FOLDS = ("0", "1", "2")
PLAIN = Recipe(Slices(), (14, 12), 4, "z_score", Augmentation())
VARIED = replace(PLAIN, augmentation=Augmentation(rotation_rad=0.3, shift=3, mirror=True))
LABEL_1 = Favoured(0.2, ("label_1",), classes=frozenset({1}))  # Of 36 slices: z is from 2 to 7.
EXAMPLES = 48  # Six subjects with eight slices each.


def high(share: float) -> Favoured:
    return Favoured(share, ("high",), groups=frozenset({"high"}))


def owners(data: Any, found: list[dict[str, np.ndarray]]) -> list[tuple[str, int]]:
    """Subject and z of every example, in order."""
    return [data.owner(label) for batch in found for label in batch["label"]]


def assert_equal(found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> None:
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        assert batch.keys() == other.keys() == {"image", "label"}
        for name in batch:
            np.testing.assert_array_equal(batch[name], other[name])
