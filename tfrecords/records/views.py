"""How subjects are cut into training examples: slices, patches or whole volumes.

A view says all that is to be known of it: how it cuts, how much it will hold, the flags that ask
for it, and which record sets serve it. `reading.crops` says how its examples are trained on.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from tfrecords.errors import SettingError
from tfrecords.sources.subject import IGNORED

Box = tuple[slice, slice, slice]
Place = tuple[int, int, int]


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
    position: Place


@dataclass(frozen=True)
class View(ABC):
    """A way of cutting.

    Attributes:
        kind: its name in flags, in manifests and in shards' names.
        axes: spatial axes of an example.
        of_classes: whether an example is drawn for the class of its central voxel, so that a
            manifest counts them by class.
        augmentable: whether examples can be rotated, shifted and mirrored when they are read.
        variable: whether they can be scaled and deformed, and vary in intensity.
    """

    kind: ClassVar[str]
    axes: ClassVar[int] = 2
    of_classes: ClassVar[bool] = False
    augmentable: ClassVar[bool] = False
    variable: ClassVar[bool] = False

    def __str__(self) -> str:
        return self.kind

    @property
    def flags(self) -> str:
        """Of launch/preprocess.py, to cut this view."""
        return f"--view {self.kind}"

    @property
    def content(self) -> dict[str, object]:
        """What a manifest holds of it."""
        return {"kind": self.kind, **asdict(self)}

    @abstractmethod
    def served_by(self, found: "View") -> bool:
        """Whether the record sets of another view have this one's examples."""

    @abstractmethod
    def examples(self, shape: tuple[int, ...], classes: int) -> int:
        """How many examples a volume [Z, Y, X] has, at most."""

    @abstractmethod
    def voxels(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Of one example of a volume [Z, Y, X], at most: the image's voxels, and the label's."""

    @abstractmethod
    def places(
        self, image: np.ndarray, label: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        """Where to cut a subject's examples.

        Args:
            image: [Z, Y, X, C].
            label: class indices [Z, Y, X], IGNORED where nobody annotated.

        Returns:
            int32 [N, 3]: the examples' first voxels (z, y, x). N may be 0.
        """

    @abstractmethod
    def cut(self, image: np.ndarray, label: np.ndarray, place: Place) -> Cut:
        """The example whose first voxel is at `place`, one of `places`.

        Args:
            image: [Z, Y, X, C].
            label: class indices [Z, Y, X].
        """


@dataclass(frozen=True)
class Slices(View):
    """Whole axial slices that cover the body's extent, but for those that nobody annotated.

    Attributes:
        foreground: whether slices without any foreground label are left out.
    """

    kind = "slices"
    augmentable = True
    variable = True
    foreground: bool = False

    def __str__(self) -> str:
        return f"{self.kind} with foreground" if self.foreground else self.kind

    @property
    def flags(self) -> str:
        return super().flags + (" --foreground_slices" if self.foreground else "")

    def served_by(self, found: View) -> bool:
        return isinstance(found, Slices)

    def examples(self, shape: tuple[int, ...], classes: int) -> int:
        return shape[0]

    def voxels(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return shape[1] * shape[2], shape[1] * shape[2]

    def places(
        self, image: np.ndarray, label: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        depth, _, _ = body_box(image)
        chosen = np.arange(depth.start, depth.stop, dtype=np.int32)
        annotated = label[depth] != IGNORED
        wanted = annotated & (label[depth] > 0) if self.foreground else annotated
        chosen = chosen[wanted.any(axis=(1, 2))]
        return np.stack([chosen, np.zeros_like(chosen), np.zeros_like(chosen)], axis=-1)

    def cut(self, image: np.ndarray, label: np.ndarray, place: Place) -> Cut:
        return Cut(image[place[0]], label[place[0]], place)


@dataclass(frozen=True)
class Patches(View):
    """Axial squares, in balance over the classes of their central voxels (Moeskops 2017, 3.1).

    They are drawn within the body's box, with replacement, and may reach beyond the volume. None
    has a central voxel that nobody annotated.

    Attributes:
        patch_size: height and width in voxels, odd.
        label_size: height and width of the centre that is labelled, odd.
        per_class: patches drawn for each class that a subject has.
    """

    kind = "patches"
    of_classes = True
    patch_size: int = 87
    label_size: int = 21
    per_class: int = 500

    def __post_init__(self) -> None:
        if self.patch_size < 1 or self.patch_size % 2 == 0:
            raise SettingError(
                "patch_size",
                "expected a positive odd number, for patches have a central voxel, "
                f"received {self.patch_size}",
            )
        if not 1 <= self.label_size <= self.patch_size or self.label_size % 2 == 0:
            raise SettingError(
                "label_size",
                f"expected an odd number from 1 to the patch's {self.patch_size}, "
                f"received {self.label_size}",
            )
        if self.per_class < 1:
            raise SettingError(
                "patches_per_class", f"expected at least 1, received {self.per_class}"
            )

    def __str__(self) -> str:
        patch, label = self.patch_size, self.label_size
        return f"patches of {patch}x{patch} with labels of {label}x{label}"

    @property
    def flags(self) -> str:
        return f"{super().flags} --patch_size {self.patch_size} --label_size {self.label_size}"

    def served_by(self, found: View) -> bool:
        return (
            isinstance(found, Patches)
            and found.patch_size >= self.patch_size
            and found.label_size == self.label_size
        )

    def examples(self, shape: tuple[int, ...], classes: int) -> int:
        return self.per_class * classes

    def voxels(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return self.patch_size**2, self.label_size**2

    def places(
        self, image: np.ndarray, label: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        box = body_box(image)
        body = label[box]
        drawn = [np.empty(0, np.int64)]
        for class_index in np.unique(body[body != IGNORED]):
            voxels = np.flatnonzero(body == class_index)
            drawn.append(voxels[random.integers(len(voxels), size=self.per_class)])
        centres = np.stack(np.unravel_index(np.concatenate(drawn), body.shape), axis=-1)
        half = self.patch_size // 2
        first = [box[0].start, box[1].start - half, box[2].start - half]
        return (centres + first).astype(np.int32)

    def cut(self, image: np.ndarray, label: np.ndarray, place: Place) -> Cut:
        z, y, x = place
        rim = (self.patch_size - self.label_size) // 2
        return Cut(
            _window(image[z], y, x, self.patch_size),
            _window(label[z], y + rim, x + rim, self.label_size),
            place,
        )


@dataclass(frozen=True)
class Volumes(View):
    """Whole volumes, cropped to the body. Every record set holds them, whatever its view."""

    kind = "volumes"
    variable = True
    axes = 3

    def served_by(self, found: View) -> bool:
        return True

    def examples(self, shape: tuple[int, ...], classes: int) -> int:
        return 1

    def voxels(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return math.prod(shape), math.prod(shape)  # Of any size: planned, and maybe refused.

    def places(
        self, image: np.ndarray, label: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        return np.array([[axis.start for axis in body_box(image)]], np.int32)

    def cut(self, image: np.ndarray, label: np.ndarray, place: Place) -> Cut:
        box = body_box(image)
        return Cut(image[box], label[box], place)


VIEWS: dict[str, type[View]] = {view.kind: view for view in (Slices, Patches, Volumes)}


def body_box(image: np.ndarray) -> Box:
    """The smallest box [Z, Y, X] that holds every voxel with a non-zero modality."""
    body = image[..., 0] != 0
    for c in range(1, image.shape[-1]):  # Five times faster than `any` over so short an axis.
        body |= image[..., c] != 0
    rows = body.any(axis=2)
    box = []
    for found in (rows.any(axis=1), rows.any(axis=0), body.any(axis=(0, 1))):
        (filled,) = np.nonzero(found)
        box.append(slice(int(filled[0]), int(filled[-1]) + 1) if filled.size else slice(0, 1))
    return box[0], box[1], box[2]


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
