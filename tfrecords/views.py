"""How subjects are cut into training examples: slices, patches or whole volumes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

KINDS = ("slices", "patches", "volumes")


@dataclass(frozen=True)
class View:
    """A way of cutting.

    Attributes:
        kind: one of KINDS.
        patch_size: height and width of a square axial patch in voxels (patches only).
        patches_per_class: patches drawn for each class that a subject has (patches only).
    """

    kind: str = "slices"
    patch_size: int = 51
    patches_per_class: int = 500


@dataclass(frozen=True)
class Cut:
    """One example.

    Attributes:
        image: [Y, X, C], or [Z, Y, X, C] for a volume.
        label: class indices, the image's shape without channels.
        position: voxel of the subject's volume (z, y, x) that the example's first voxel is.
    """

    image: np.ndarray
    label: np.ndarray
    position: tuple[int, int, int]


Box = tuple[slice, slice, slice]


def body_box(image: np.ndarray) -> Box:
    """The smallest box [Z, Y, X] that holds every voxel with a non-zero modality."""
    body = np.asarray(image.any(axis=-1))
    box = []
    for other_axes in ((1, 2), (0, 2), (0, 1)):
        (filled,) = np.nonzero(body.any(axis=other_axes))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1) if filled.size else slice(0, 1))
    return box[0], box[1], box[2]


def volume(image: np.ndarray, label: np.ndarray) -> Iterator[Cut]:
    """The whole volume, cropped to the body."""
    box = body_box(image)
    yield Cut(image[box], label[box], (box[0].start, box[1].start, box[2].start))


def slices(image: np.ndarray, label: np.ndarray) -> Iterator[Cut]:
    """Whole axial slices of the body's extent."""
    extent = body_box(image)[0]
    for z in range(extent.start, extent.stop):
        yield Cut(image[z], label[z], (z, 0, 0))


def patches(
    image: np.ndarray, label: np.ndarray, view: View, random: np.random.Generator
) -> Iterator[Cut]:
    """Axial patches in balance over the classes of their central voxels (Moeskops 2017, 2.4).

    Within the body's box, with replacement. Patches reach over the border by zeros.
    """
    half = view.patch_size // 2
    rest = view.patch_size - half
    margin = ((0, 0), (half, rest), (half, rest))
    padded_image = np.pad(image, (*margin, (0, 0)))
    padded_label = np.pad(label, margin)
    box = body_box(image)
    start = np.array([axis.start for axis in box])
    for class_index in np.unique(label[box]):
        voxels = np.argwhere(label[box] == class_index) + start
        for z, y, x in voxels[random.integers(len(voxels), size=view.patches_per_class)]:
            window = (z, slice(y, y + view.patch_size), slice(x, x + view.patch_size))
            position = (int(z), int(y) - half, int(x) - half)
            yield Cut(padded_image[window], padded_label[window], position)


def cut(
    view: View, image: np.ndarray, label: np.ndarray, random: np.random.Generator
) -> Iterator[Cut]:
    """The examples of one subject.

    Args:
        image: [Z, Y, X, C].
        label: class indices [Z, Y, X].
    """
    match view.kind:
        case "slices":
            return slices(image, label)
        case "patches":
            return patches(image, label, view, random)
        case _:
            return volume(image, label)
