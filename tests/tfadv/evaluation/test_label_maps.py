"""Label maps in a row, by the colours of their pixels."""

import io

import numpy as np
import pytest
from matplotlib import colors
from matplotlib import image as images

from tfadv.evaluation import figures, label_maps
from tfrecords.sources.subject import IGNORED


def pixels(png: bytes) -> np.ndarray:
    """RGB [Y, X, 3] from 0 to 1, the first row on top."""
    return images.imread(io.BytesIO(png))[..., :3]


def where(picture: np.ndarray, colour: object) -> np.ndarray:
    """(y, x) of the pixels of one colour, as shares of height and width."""
    same = np.abs(picture - np.array(colors.to_rgb(colour))).max(axis=-1) < 0.01  # type: ignore[arg-type]
    return np.argwhere(same) / same.shape


def test_label_maps_in_colours_on_black() -> None:
    """Class 1 in the reference, 2 in the first run's lower half, 3 in the second's left half."""
    reference, first, second = np.ones((20, 20), np.uint8), *np.zeros((2, 20, 20), np.uint8)
    first[:10] = 2
    second[:, :10] = 3
    row = label_maps.Row("s0", (np.zeros((20, 20)),), (reference, first, second), 1.0)
    columns, classes = ["t1", "reference", "without", "with"], ["background", "a", "b", "c"]
    picture = pixels(label_maps.draw([row, row], columns, classes))
    maps = picture[: int(0.95 * len(picture))]
    one, two, three = (where(maps, figures.COLOURS(index)) for index in range(3))
    for index in range(3):
        legend = where(picture[len(maps) :], figures.COLOURS(index))
        assert 100 < len(legend) < 1000
    # Of each map, the place of its middle as a share of the picture.
    assert one[:, 1].mean() == pytest.approx(1.5 / 4, abs=0.02)
    assert two[:, 1].mean() == pytest.approx(2.5 / 4, abs=0.02)
    assert three[:, 1].mean() == pytest.approx(3.25 / 4, abs=0.02)
    assert two[:, 0].mean() > one[:, 0].mean() + 0.05
    assert len(two) == pytest.approx(len(one) / 2, rel=0.02)
    # The rest of both maps, and the image.
    assert len(where(maps, "black")) > len(two) + len(three) + 0.9 * len(one)


def test_pixels_keep_their_shape() -> None:
    """20 rows of pixels twice as high as wide under 20 columns."""
    row = label_maps.Row("s", (np.zeros((20, 20)),), (np.ones((20, 20), np.uint8),), 2.0)
    picture = pixels(label_maps.draw([row], ["t1", "reference"], ["background", "a"]))
    maps = picture[: int(0.9 * len(picture))]
    height, width = np.ptp(where(maps, figures.COLOURS(0)) * maps.shape[:2], axis=0)
    assert height == pytest.approx(2 * width, rel=0.02)


def test_slice_of_most_classes() -> None:
    labels = np.zeros((4, 10, 10), np.uint8)
    labels[0] = 1  # The largest area, one class.
    labels[1, :8] = 1
    labels[1, 8, 0] = 2  # Two classes, one of them hardly there.
    labels[2, :5] = 1
    labels[2, 5:8] = 2  # Half of the first, all of the second.
    assert label_maps.slice_of_most_classes(labels) == 2
    assert label_maps.slice_of_most_classes(np.zeros((5, 2, 2), np.uint8)) == 2
    labels[3] = IGNORED  # No class.
    assert label_maps.slice_of_most_classes(labels) == 2
    labels[labels > 0] = IGNORED
    assert label_maps.slice_of_most_classes(labels) == 2


def test_drawn_from_left_to_right() -> None:
    """Two images, then maps of class 1 and of class 2; pixels twice as high as wide."""
    one = np.ones((10, 20), np.uint8)
    row = label_maps.Row("s0: why", (np.eye(10, 20), np.eye(10, 20)), (one, 2 * one), 2.0)
    columns = ["t1", "t2", "reference", "line"]
    png = label_maps.draw([row, row], columns, ["background", "a", "b"])
    picture = images.imread(io.BytesIO(png))[..., :3]
    picture = picture[: int(0.93 * len(picture))]  # Without the legend.

    def where(index: int) -> np.ndarray:
        colour = np.array(colors.to_rgb(figures.COLOURS(index)))
        same = np.abs(picture - colour).max(axis=-1) < 0.01
        return np.argwhere(same)

    first, second = where(0), where(1)
    width = picture.shape[1]
    assert first[:, 1].mean() / width == pytest.approx(2.5 / 4, abs=0.02)
    assert second[:, 1].mean() / width == pytest.approx(3.5 / 4, abs=0.02)
    upper = first[first[:, 0] < len(picture) / 2]
    height, extent = np.ptp(upper, axis=0)
    assert height == pytest.approx(extent, rel=0.03)
    assert len(upper) == pytest.approx(len(first) / 2, rel=0.05)
