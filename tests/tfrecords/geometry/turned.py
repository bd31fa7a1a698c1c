"""Grids that turn in all directions, and volumes whose voxels can be told apart."""

import numpy as np
from nibabel.affines import apply_affine

from tfrecords.geometry.grid import Grid

WORLD = {"R": (1, 0, 0), "A": (0, 1, 0), "S": (0, 0, 1)}
SHAPE = (7, 6, 5)
OBLIQUE_DEG = (12, -20, 35)
SOURCES = [
    ("RAS", (0, 0, 0)),
    ("LAS", (0, 0, 0)),
    ("LPS", (0, 0, 0)),
    ("PSR", (0, 0, 0)),
    ("ILA", (0, 0, 0)),
    ("RAS", OBLIQUE_DEG),
    ("PSR", OBLIQUE_DEG),
    ("ILA", OBLIQUE_DEG),
]


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    """Every voxel has a value of its own."""
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def world_of_voxels(grid: Grid) -> np.ndarray:
    """[X * Y * Z, 3], in the order of a raveled array."""
    return apply_affine(grid.matrix, np.argwhere(np.ones(grid.shape, bool)))
