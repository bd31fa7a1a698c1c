"""Box plots, by the colours of their pixels."""

import io
import warnings

import numpy as np
import pytest
from matplotlib import colors
from matplotlib import image as images

from tfadv.evaluation import boxplots
from tfadv.evaluation.measures import named


def pixels(png: bytes) -> np.ndarray:
    """RGB [Y, X, 3] from 0 to 1, the first row on top."""
    return images.imread(io.BytesIO(png))[..., :3]


def where(picture: np.ndarray, colour: object) -> np.ndarray:
    """(y, x) of the pixels of one colour, as shares of height and width."""
    same = np.abs(picture - np.array(colors.to_rgb(colour))).max(axis=-1) < 0.01  # type: ignore[arg-type]
    return np.argwhere(same) / same.shape


def boxes(marks: dict[str, str]) -> np.ndarray:
    random = np.random.default_rng(0)
    scores = {name: (random.uniform(0.2, 0.4, 9), random.uniform(0.6, 0.8, 9)) for name in marks}
    return pixels(boxplots.of_two_runs(scores, marks, ("without", "with")))


def test_second_run_is_the_green_one_above() -> None:
    picture = boxes({"a": "", "b": ""})
    plot = picture[: int(0.8 * len(picture))]  # Without the legend.
    blue, green = (where(plot, colour) for colour in ("tab:blue", "tab:green"))
    assert green[:, 0].max() < blue[:, 0].min()
    assert blue[:, 1].min() < green[:, 1].min() < blue[:, 1].max() < green[:, 1].max()
    assert len(where(picture, "red")) == 0


@pytest.mark.parametrize(("mark", "legend"), [("**", "p < 0.01"), ("*", "p < 0.05")])
def test_marks_are_red_and_above_their_class(mark: str, legend: str) -> None:
    picture = boxes({"a": "", "b": mark, "c": ""})
    red = where(picture, "red")
    above = red[red[:, 0] < 0.1]
    assert above[:, 1].mean() == pytest.approx(0.54, abs=0.03)  # The axis stands left.
    assert len(red) > len(above)  # The rest is in the legend.
    assert boxplots.MARKERS[mark][2] == legend


def test_a_star_is_no_circle() -> None:
    """A circle fills 0.785 of the box around it, a star about half."""
    for mark, least, most in (("**", 0.4, 0.6), ("*", 0.7, 0.9)):
        picture = boxes({"a": mark})
        top = picture[: len(picture) // 8]
        y, x = np.nonzero((top[..., 0] > 0.9) & (top[..., 1] < 0.5))
        assert least < len(y) / (np.ptp(y) + 1) / (np.ptp(x) + 1) < most


def measures(scores: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    """Box plots of measures by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return pixels(boxplots.of_one_run({named(name): of for name, of in scores.items()}))


def test_regions_lie_below_each_other_in_every_panel() -> None:
    low, high = np.linspace(0.1, 0.3, 9), np.linspace(0.8, 1, 9)
    panel = {"a": low, "b": np.full(9, np.nan), "a region with a long name": high}
    picture = measures({"dice": panel, "sensitivity": panel})
    blue = where(picture, "tab:blue")
    upper, lower = blue[blue[:, 0] < 0.5], blue[blue[:, 0] > 0.5]
    assert upper[:, 0].max() < 0.45  # Where the second region would be, nothing is.
    assert lower[:, 0].min() > 0.55
    # Each in both panels, the long name left of them; the higher scores are right.
    for number in (0, 1):
        left, right = (of[:, 1][(of[:, 1] > 0.62) == number] for of in (upper, lower))
        assert left.max() < right.min()
    assert upper[:, 1].min() > 0.15


def test_a_number_left_out_moves_no_box() -> None:
    scores = np.linspace(0.1, 0.3, 9)
    without = measures({"dice": {"a": scores}})
    np.testing.assert_array_equal(without, measures({"dice": {"a": np.append(scores, np.nan)}}))


def test_a_single_subject_is_a_line_as_high_as_a_box() -> None:
    black = where(measures({"dice": {"a": np.array([0.5])}})[40:-40, 60:-60], "black")
    assert len(set(black[:, 1])) <= 3
    assert np.ptp(black[:, 0]) > 0.3


def test_shares_end_at_zero_and_one() -> None:
    """Lines at the ends of the axis, which would lie in its middle."""
    for share, place in ((0.0, 0.08), (1.0, 0.96)):
        picture = measures({"dice": {"a": np.full(3, share)}})
        line = picture[len(picture) // 2, 60:-60]
        dark = np.flatnonzero((line < 0.1).all(axis=-1)) / len(line)
        assert dark.mean() == pytest.approx(place, abs=0.05)


def test_one_failure_leaves_the_others_boxes_wide_on_a_logarithmic_axis() -> None:
    """Between the quartiles lie 9 of 371 mm, and 0.37 of 3.6 decades."""
    scores = np.append(np.linspace(2, 20, 29), 373.13)
    blue = where(measures({"hausdorff95_mm": {"a": scores}}), "tab:blue")
    assert np.ptp(blue[:, 1]) == pytest.approx(0.37 / 3.6, rel=0.25)
