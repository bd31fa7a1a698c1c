"""What a picture shows, by the colours of its pixels."""

import io

import numpy as np
from matplotlib import colors
from matplotlib import image as images


def pixels(png: bytes) -> np.ndarray:
    """RGB [Y, X, 3] from 0 to 1, the first row on top, without the legend below."""
    picture = images.imread(io.BytesIO(png))[..., :3]
    return picture[: int(0.88 * len(picture))]


def where(picture: np.ndarray, colour: str) -> np.ndarray:
    """(y, x) of the pixels of one colour, as shares of height and width."""
    same = np.abs(picture - np.array(colors.to_rgb(colour))).max(axis=-1) < 0.01
    return np.argwhere(same) / same.shape
