"""How subjects are cut into training examples: slices, patches or whole volumes."""

from dataclasses import dataclass

import numpy as np

KINDS = ("slices", "patches", "volumes")


@dataclass(frozen=True)
class View:
    """A way of cutting.

    Attributes:
        kind: one of KINDS.
        patch_size: height and width of a square axial patch in voxels, odd (patches only).
        label_size: height and width of the patch's centre that is labelled, odd (patches only).
        patches_per_class: patches drawn for each class that a subject has (patches only).
        foreground_slices: whether slices without any foreground label are left out (slices only).
    """

    kind: str = "slices"
    patch_size: int = 87
    label_size: int = 21
    patches_per_class: int = 500
    foreground_slices: bool = False

    def __str__(self) -> str:
        if self.kind != "patches":
            return f"{self.kind} with foreground" if self.foreground_slices else self.kind
        patch, label = self.patch_size, self.label_size
        return f"patches of {patch}x{patch} with labels of {label}x{label}"

    @property
    def flags(self) -> str:
        """Of launch/preprocess.py, to cut this view."""
        if self.kind != "patches":
            extra = " --foreground_slices" if self.foreground_slices else ""
            return f"--view {self.kind}{extra}"
        return f"--view patches --patch_size {self.patch_size} --label_size {self.label_size}"


@dataclass(frozen=True)
class Cut:
    """One example.

    Attributes:
        image: [Y, X, C], or [Z, Y, X, C] for a volume.
        label: class indices, the image's shape without channels; of a patch, its centre.
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


def volume(image: np.ndarray, label: np.ndarray) -> Cut:
    """The whole volume, cropped to the body."""
    box = body_box(image)
    return Cut(image[box], label[box], (box[0].start, box[1].start, box[2].start))


def places(
    view: View, image: np.ndarray, label: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Where to cut a subject's slices or patches.

    Slices cover the body's extent, or where it has foreground. Patches are in balance over the
    classes of their central voxels (Moeskops 2017, 3.1), drawn within the body's box, with
    replacement.

    Args:
        image: [Z, Y, X, C].
        label: class indices [Z, Y, X].

    Returns:
        int32 [N, 3]: the examples' first voxels (z, y, x). A patch's may lie outside the volume.
        N is 0 where no slice has foreground.
    """
    box = body_box(image)
    if view.kind == "slices":
        chosen = np.arange(box[0].start, box[0].stop, dtype=np.int32)
        if view.foreground_slices:
            chosen = chosen[label[box[0]].any(axis=(1, 2))]
        return np.stack([chosen, np.zeros_like(chosen), np.zeros_like(chosen)], axis=-1)
    body = label[box]
    drawn = []
    for class_index in np.unique(body):
        voxels = np.flatnonzero(body == class_index)
        drawn.append(voxels[random.integers(len(voxels), size=view.patches_per_class)])
    centres = np.stack(np.unravel_index(np.concatenate(drawn), body.shape), axis=-1)
    half = view.patch_size // 2
    first = [box[0].start, box[1].start - half, box[2].start - half]
    return (centres + first).astype(np.int32)


def cut(view: View, image: np.ndarray, label: np.ndarray, place: tuple[int, int, int]) -> Cut:
    """The slice or patch whose first voxel is at `place`, one of `places`.

    Args:
        image: [Z, Y, X, C].
        label: class indices [Z, Y, X].
    """
    z, y, x = place
    if view.kind == "slices":
        return Cut(image[z], label[z], place)
    rim = (view.patch_size - view.label_size) // 2
    return Cut(
        _window(image[z], y, x, view.patch_size),
        _window(label[z], y + rim, x + rim, view.label_size),
        place,
    )


def _window(plane: np.ndarray, y: int, x: int, size: int) -> np.ndarray:
    """[size, size, ...] of a plane [Y, X, ...] from (y, x) on, zeros outside it."""
    height, width = plane.shape[:2]
    top, bottom = max(y, 0), min(y + size, height)
    left, right = max(x, 0), min(x + size, width)
    inside = plane[top:bottom, left:right]
    if inside.shape[:2] == (size, size):
        return inside
    window = np.zeros((size, size, *plane.shape[2:]), plane.dtype)
    window[top - y : bottom - y, left - x : right - x] = inside
    return window
