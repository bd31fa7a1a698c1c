"""One subject, slice by slice: pictures that a page shows one at a time."""

import io
from base64 import b64encode
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tfadv.evaluation import figures
from tfadv.evaluation.label_maps import SHOWN
from tfadv.evaluation.scoring import Segmented

SLICES = 40  # At most, evenly from those with foreground.
BESIDE = 2  # Slices without, at either end.
PIXELS = 256  # Of the longer side of a panel.
QUALITY = 85
OPACITY = 0.5


@dataclass(frozen=True)
class Viewer:
    """What a page shows of a subject.

    Attributes:
        frames: JPEGs of image, reference and prediction side by side, base64.
        numbers: of their axial slices.
        first: the frame that is shown first: the one with most foreground in the reference.
    """

    title: str
    frames: tuple[str, ...]
    numbers: tuple[int, ...]
    first: int


def view(segmented: Segmented, title: str, spacing_mm: tuple[float, float]) -> Viewer:
    """The slices with foreground of reference or prediction, on the last modality.

    Args:
        spacing_mm: (x, y) of the working grid.
    """
    volume = segmented.volume
    image = volume.image[..., -1].astype(np.float32)
    maps = volume.label, segmented.compared
    slices = _chosen(np.logical_or(*(figures.foreground(labels) for labels in maps)))
    black, white = np.percentile(image, SHOWN)
    grey = np.clip((image - black) / max(white - black, 1e-6), 0, 1)
    size = _size(image.shape[1:], spacing_mm)
    frames = tuple(_frame(grey[z], [labels[z] for labels in maps], size) for z in slices)
    most = figures.most_foreground(volume.label)
    first = int(np.argmin(np.abs(slices - most)))
    numbers = tuple(int(z) + volume.position[0] for z in slices)
    return Viewer(title, frames, numbers, first)


def _chosen(shown: np.ndarray) -> np.ndarray:
    """Slices to show, of where there is something [Z, Y, X]; of all where there is nothing."""
    found = np.flatnonzero(shown.any(axis=(1, 2)))
    last = len(shown) - 1
    start, end = (found[0] - BESIDE, found[-1] + BESIDE) if len(found) else (0, last)
    start, end = max(start, 0), min(end, last)
    return np.unique(np.linspace(start, end, min(SLICES, end - start + 1)).round().astype(int))


def _size(shape: tuple[int, ...], spacing_mm: tuple[float, float]) -> tuple[int, int]:
    """(width, height) of a panel in pixels, of a slice [Y, X] as it is in mm."""
    height_mm, width_mm = shape[0] * spacing_mm[1], shape[1] * spacing_mm[0]
    scale = PIXELS / max(height_mm, width_mm)
    return max(1, round(width_mm * scale)), max(1, round(height_mm * scale))


def _frame(grey: np.ndarray, maps: list[np.ndarray], size: tuple[int, int]) -> str:
    """Image, and image under each of the label maps [Y, X]; the first row is at the bottom."""
    image = _resized(np.repeat(grey[..., None], 3, axis=-1), size, Image.Resampling.BILINEAR)
    panels = [image]
    for labels in maps:
        colours = _resized(figures.coloured(labels, OPACITY), size, Image.Resampling.NEAREST)
        opacity = colours[..., 3:]
        panels.append(opacity * colours[..., :3] + (1 - opacity) * image)
    together = np.concatenate(panels, axis=1)[::-1]
    encoded = io.BytesIO()
    pixels = Image.fromarray((255 * together).round().astype(np.uint8))
    pixels.save(encoded, "JPEG", quality=QUALITY, subsampling=0)
    return b64encode(encoded.getvalue()).decode()


def _resized(picture: np.ndarray, size: tuple[int, int], how: Image.Resampling) -> np.ndarray:
    """Channels [Y, X, K] from 0 to 1 at another size."""
    channels = np.moveaxis(picture.astype(np.float32), -1, 0)
    resized = [np.asarray(Image.fromarray(channel).resize(size, how)) for channel in channels]
    return np.clip(np.stack(resized, axis=-1), 0, 1)
