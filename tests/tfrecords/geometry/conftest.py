"""Grids that turn in all directions."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.tfrecords.geometry.turned import WORLD
from tfrecords.geometry.grid import Grid, make_grid

OPPOSITE = {"L": "R", "P": "A", "I": "S"}


def _grid_of(
    codes: str,
    angles_deg: tuple[float, ...] = (0, 0, 0),
    shape: tuple[int, ...] = (7, 6, 5),
    spacing_mm: tuple[float, ...] = (1, 1.5, 2.5),
) -> Grid:
    """A grid whose axes point to `codes`, turned by angles."""
    axes = [
        np.negative(WORLD[OPPOSITE[code]]) if code in OPPOSITE else np.array(WORLD[code])
        for code in codes
    ]
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.stack(axes, axis=1) * spacing_mm
    affine[:3, 3] = (-20, 35, 7)
    return make_grid(shape, affine)


@pytest.fixture(scope="session")
def grid_of() -> Callable[..., Grid]:
    """`grid_of(codes, angles_deg, shape, spacing_mm)`: axes point to `codes`, turned by angles."""
    return _grid_of
