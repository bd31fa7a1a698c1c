"""Grids of voxels in the world."""

from collections.abc import Callable

import numpy as np

from tfrecords.geometry.grid import Grid, make_grid, working_grid


def test_resampled_grid_has_the_extent_and_the_centre_of_the_source(
    grid_of: Callable[..., Grid],
) -> None:
    source = grid_of("LAS", shape=(24, 20, 16))
    working = working_grid(source, "RAS", (2, 2, 2))
    assert working.shape == (12, 15, 20)
    np.testing.assert_allclose(working.spacing_mm, (2, 2, 2))
    np.testing.assert_allclose(
        working.matrix @ [*(np.array(working.shape) - 1) / 2, 1],
        source.matrix @ [*(np.array(source.shape) - 1) / 2, 1],
    )


def test_a_slices_resampling_leaves_the_third_axis_alone() -> None:
    source = make_grid((8, 6, 3), np.diag([-0.5, -0.5, 3.6, 1]))
    working = working_grid(source, "RAS", (0.25, 0.25, 0))
    assert working.shape == (16, 12, 3)
    # The first voxel's outer faces stay: -3.5 - 0.25 and -2.5 - 0.25 mm.
    expected = [[0.25, 0, 0, -3.625], [0, 0.25, 0, -2.625], [0, 0, 3.6, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(working.matrix, expected)


def test_cropped_grid_keeps_the_centre_and_axes_that_are_shorter() -> None:
    """BraTS' grid: left to right is x, front to back is y, and both count down in the file."""
    source = make_grid((240, 240, 155), np.diag([-1.0, -1.0, 1.0, 1.0]))
    working = working_grid(source, "RAS", None, (180, 300, 128))
    assert working.shape == (180, 240, 128)
    assert working.orientation == "RAS"
    # Of 60 voxels 30 go on either side, of 27 the first 13.
    np.testing.assert_array_equal(working.matrix[:3, 3], (-239 + 30, -239, 13))


def test_grids_match_to_a_thousandth_of_a_voxel(grid_of: Callable[..., Grid]) -> None:
    grid = grid_of("RAS", spacing_mm=(1, 1, 1))
    for shift_mm, same in ((5e-4, True), (5e-3, False)):
        moved = grid.matrix.copy()
        moved[0, 3] += shift_mm
        assert grid.matches(make_grid(grid.shape, moved)) is same
    assert not grid.matches(grid_of("RAS", shape=(7, 6, 4), spacing_mm=(1, 1, 1)))
    assert not grid.matches(grid_of("LAS", spacing_mm=(1, 1, 1)))
