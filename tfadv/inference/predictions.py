"""A folder of label maps, and by which model and from which images they were made."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfrecords.errors import SettingError, UserError
from tfrecords.files import read_json, write_json
from tfrecords.geometry.grid import Grid
from tfrecords.geometry.nifti import checksum, write_label, write_maps
from tfrecords.names import repeated, shortened
from tfrecords.sources.subject import Subject

NOTE = "predictions.json"
VERSION = 2  # Of it.
REMEDY = "Choose another --output, or give --overwrite to make all label maps anew"


@dataclass
class Origin:
    """By what the label maps of a folder were made, and from what.

    Attributes:
        model: its checksum; see `model.checksum_of`.
        resample: whether images were brought onto the first one's grid.
        images: SHA-256 of the images of each subject whose label map is here, or about to be.
        quality: what the model said of each; see `Description.quality`.
    """

    model: str
    resample: bool
    images: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quality: dict[str, tuple[float, ...]] = field(default_factory=dict)


class Predictions:
    """The label maps in a folder, `SUBJECT.nii.gz`, beside the note of where they come from.

    A label map is whole if it is there. It is ours if the note has its subject.
    """

    def __init__(self, folder: Path, origin: Origin, *, probabilities: bool) -> None:
        self.folder = folder
        self.probabilities = probabilities
        self._note = folder / NOTE
        self._origin = origin

    def require_own_files(self, subjects: Sequence[Subject], inputs: Iterable[Path]) -> None:
        """Holds that each output is one subject's and no input, nor put beside inputs.

        Args:
            inputs: paths of which none may be written over.

        Raises:
            SettingError: that is not so.
        """
        files = [file for one in subjects for file in self._files(one.name)]
        if again := repeated(file.name.casefold() for file in files):
            raise SettingError(
                "images",
                "expected subjects whose label maps have names that differ by more than case, "
                f"received several for {again[0]}",
            )
        taken = {_identity(path): path for path in inputs}
        folders = {place: path for path in taken.values() for place in _places(path)}
        if image := folders.get(self.folder.resolve()):
            raise SettingError(
                "output", f"expected a folder without images, received {self.folder} with {image}"
            )
        for file in files:
            if file.exists() and (image := taken.get(_identity(file))):
                raise SettingError(
                    "output",
                    f"expected files that are none of the images, received {file}: {image}",
                )

    def begin(self, subjects: Sequence[Subject], *, overwrite: bool) -> list[Subject]:
        """Those of the subjects that have no label map yet; with `overwrite`, these are all.

        Raises:
            SettingError: label maps are there by another model, from other images or of unknown
                origin.
        """
        if overwrite:
            self._clear(subjects)
            return list(subjects)
        if self._note.is_file():
            self._origin = self._same(read_json(self._note, Origin, VERSION, REMEDY))
        made = [one for one in subjects if any(file.exists() for file in self._files(one.name))]
        if strange := [one.name for one in made if one.name not in self._origin.images]:
            raise SettingError(
                "output",
                f"{self.folder}: expected label maps of this model, received ones of unknown "
                f"origin: {shortened(strange)}. {REMEDY}",
            )
        bar = tqdm(made, "Comparing images", unit="subject", dynamic_ncols=True, disable=not made)
        same = {one.name for one in bar if self._is_of_same_images(one)}
        return [one for one in subjects if one.name not in same or not self._is_whole(one.name)]

    def _clear(self, subjects: Iterable[Subject]) -> None:
        """Removes what is made anew, so that what is here after a kill is what was finished."""
        with suppress(UserError):
            self._origin = self._same(read_json(self._note, Origin, VERSION, REMEDY))
        for subject in subjects:
            self._origin.images.pop(subject.name, None)
            self._origin.quality.pop(subject.name, None)
            for file in self._files(subject.name):
                file.unlink(missing_ok=True)
        write_json(self._note, self._origin, VERSION)

    def write(
        self,
        name: str,
        checksums: tuple[str, ...],
        like: Path | Grid,
        label: np.ndarray,
        probabilities: np.ndarray | None,
        quality: np.ndarray,
    ) -> None:
        """Writes a subject's files, the label map last.

        Args:
            checksums: of its images.
            label: [X, Y, Z] on the grid of `like`.
            probabilities: [X, Y, Z, K] there.
            quality: what the model says of the label map, [N].
        """
        # Before the label map: one that the note does not have is somebody else's.
        self._origin.images[name] = checksums
        self._origin.quality[name] = tuple(quality.tolist())
        write_json(self._note, self._origin, VERSION)
        if probabilities is not None:
            write_maps(self._probabilities(name), probabilities, like)
        write_label(self._label(name), label, like)

    def said(self) -> dict[str, tuple[float, ...]]:
        """What the model said of each label map that is here, by subject, in the names' order."""
        quality = self._origin.quality
        return {name: quality[name] for name in sorted(quality) if self._label(name).exists()}

    def _label(self, name: str) -> Path:
        return self.folder / f"{name}.nii.gz"

    def _probabilities(self, name: str) -> Path:
        return self.folder / f"{name}_probabilities.nii.gz"

    def _files(self, name: str) -> tuple[Path, Path]:
        return self._label(name), self._probabilities(name)

    def _is_whole(self, name: str) -> bool:
        label, probabilities = self._files(name)
        return label.exists() and (probabilities.exists() or not self.probabilities)

    def _same(self, found: Origin) -> Origin:
        """What the note says, where it says the same of model and grids."""
        if found.model != self._origin.model:
            reason = "of this model, received some of another"
        elif found.resample != self._origin.resample:
            reason = f"made with --resample={self._origin.resample}, received the opposite"
        else:
            return found
        raise SettingError("output", f"{self._note}: expected label maps {reason}. {REMEDY}")

    def _is_of_same_images(self, subject: Subject) -> bool:
        """Whether its images are still what its label map was made from.

        False where they cannot be read. Raises SettingError where they are others.
        """
        try:
            found = tuple(map(checksum, subject.images))
        except UserError:
            return False
        if found == self._origin.images[subject.name]:
            return True
        raise SettingError(
            "output",
            f"{self._label(subject.name)}: expected the label map of "
            f"{', '.join(map(str, subject.images))}, received one made from other images, or "
            f"before these changed. Remove it to have it made anew. {REMEDY}",
        )


def _places(path: Path) -> set[Path]:
    """The folders in which a path is, the one that it leads to, and it itself if it is one."""
    places = {path.parent.resolve(), path.resolve().parent}
    return places | {path.resolve()} if path.is_dir() else places


def _identity(path: Path) -> object:
    """The same of the same file, by whatever name."""
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return path
