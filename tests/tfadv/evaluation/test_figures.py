"""Pictures, by the colours of their pixels."""

import io

import numpy as np
import pytest
from matplotlib import colors
from matplotlib import image as images

from tfadv.evaluation import figures
from tfrecords.sources.subject import IGNORED


def pixels(png: bytes) -> np.ndarray:
    """RGB [Y, X, 3] from 0 to 1, the first row on top."""
    return images.imread(io.BytesIO(png))[..., :3]


def where(picture: np.ndarray, colour: object) -> np.ndarray:
    """(y, x) of the pixels of one colour, as shares of height and width."""
    same = np.abs(picture - np.array(colors.to_rgb(colour))).max(axis=-1) < 0.01  # type: ignore[arg-type]
    return np.argwhere(same) / same.shape


def test_a_subjects_slice_of_most_foreground() -> None:
    """The second of three slices: class 1 as it is, class 2 where it was found."""
    reference, prediction = np.zeros((2, 3, 20, 20), np.uint8)
    reference[1] = 1
    prediction[1, :, 10:] = 2
    image = np.zeros((3, 20, 20, 2))
    picture = pixels(
        figures.comparison(image, reference, prediction, ["t1", "t2"], ["background", "a", "b"])
    )
    plot = picture[: int(0.9 * len(picture))]
    # Seen through at 65 %, on the black image.
    one, two = (where(plot, 0.65 * np.array(figures.COLOURS(index)[:3])) for index in range(2))
    assert one[:, 1].mean() == pytest.approx(0.5 / 2, abs=0.02)
    assert two[:, 1].mean() == pytest.approx(1.75 / 2, abs=0.03)
    assert len(two) == pytest.approx(len(one) / 2, rel=0.1)


def test_what_nobody_annotated_is_neither_class_nor_background() -> None:
    """The first slice is all of it, and is not the one that is shown."""
    reference, prediction = np.zeros((2, 3, 20, 20), np.uint8)
    reference[0] = IGNORED
    reference[1, :, :5] = 1
    reference[1, :, 10:] = prediction[1, :, 10:] = IGNORED
    image, names = np.zeros((3, 20, 20, 1)), ["background", "a"]
    picture = pixels(figures.comparison(image, reference, prediction, ["t1"], names))
    plot = picture[: int(0.88 * len(picture))]
    one, ignored = (where(plot, 0.65 * np.array(c[:3])) for c in (figures.COLOURS(0), (1, 1, 1)))
    assert one[:, 1].mean() == pytest.approx(0.12 / 2, abs=0.03)
    # The right halves of reference and prediction.
    assert len(ignored) == pytest.approx(4 * len(one), rel=0.1)
    assert ignored[:, 1].mean() == pytest.approx((0.75 + 1.75) / 2 / 2, abs=0.03)


def test_the_legend_names_what_nobody_annotated_where_there_is_some() -> None:
    image, names = np.zeros((1, 20, 20, 1)), ["background", "a"]
    labels = np.ones((1, 20, 20), np.uint8)
    inks = []
    for value in (1, IGNORED):
        labels[0, 5] = value
        picture = pixels(figures.comparison(image, labels, labels, ["t1"], names))
        inks.append((picture[int(0.95 * len(picture)) :] < 0.5).any(axis=-1).sum())
    assert inks[1] > 1.5 * inks[0]


def test_curves_of_two_runs() -> None:
    x = np.array([0.0, 1.0, 2.0])
    panels = {
        name: {"one": (x, 0.9 - x * 0.1), "two": (x, 0.9 - x * slope)}
        for name, slope in (("noise", 0.2), ("blur", 0.4))
    }
    picture = pixels(figures.curves(panels, "mean Dice"))
    plot, legend = np.split(picture, [int(0.87 * len(picture))])
    ends = []
    for colour in (figures.COLOURS(0), figures.COLOURS(1)):
        assert len(where(legend, colour))
        line = where(plot, colour)
        for panel in (line[line[:, 1] < 0.52], line[line[:, 1] > 0.52]):
            last = panel[panel[:, 1] > panel[:, 1].max() - 0.01]
            ends.append(last[:, 0].mean())
    # One scale for all: the first run ends at 0.7 twice, the second at 0.5 and 0.1.
    assert ends[0] == pytest.approx(ends[1], abs=0.01)
    assert (ends[3] - ends[0]) / (ends[2] - ends[0]) == pytest.approx(3, rel=0.05)
