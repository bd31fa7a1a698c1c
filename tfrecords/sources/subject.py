"""What a source layout on disk holds: subjects, their files, and what the labels mean."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tfrecords.errors import SettingError, UserError
from tfrecords.names import MEAN, name_fault, repeated

# Of the subjects without a label map: nothing chooses it for training with labels or for a test.
UNLABELLED = "unlabelled"
# The class index of voxels that nobody annotated: they count in no loss and no measure.
IGNORED = 255
# Of the subjects that only train: it neither validates nor tests. A source may prescribe it, too.
TRAINING = "training"


@dataclass(frozen=True)
class Subject:
    """One scanned patient.

    Attributes:
        name: unique within the dataset.
        images: one file per modality in the dataset's order, or a single 4D file.
        label: the label map's file; None of an unlabelled subject, which has none.
        group: one of the dataset's groups, for example high grade.
        fold: a fold that the source prescribes; empty lets preprocessing draw one. See folds.py for
            the names that mean something.
        channels: of a single 4D file, which modality each channel is, -1 for one that is left out;
            empty where channel i is modality i.
        patient: whose subjects share a fold, where there may be several of one; empty for this
            one alone.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None
    group: str = "all"
    fold: str = ""
    channels: tuple[int, ...] = ()
    patient: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        return self.images if self.label is None else (*self.images, self.label)


@dataclass(frozen=True)
class LabelClass:
    """An exclusive class: its source label values, the first of which is written back."""

    name: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Dataset:
    """A source layout as found on disk.

    Attributes:
        classes: background first. Empty if only the label maps tell: then every value found
            becomes a class of its own.
        regions: unions of classes by name, for example WT.
        groups: the first is that of the positive subjects.
        ignored: source label values of voxels that nobody annotated; no class has them.
        favoured: groups, classes and regions whose examples importance sampling favours where
            nobody says otherwise; the first group if there are none.
        licence: of the data, as the source states it; empty where it does not.

    Raises:
        UserError: its parts do not fit together, or names cannot be those of files or of flags'
            values. Subjects of one name are for preprocessing to report.
    """

    name: str
    modalities: tuple[str, ...]
    classes: tuple[LabelClass, ...]
    subjects: tuple[Subject, ...]
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[str, ...] = ("all",)
    ignored: tuple[int, ...] = ()
    favoured: tuple[str, ...] = ()
    licence: str = ""

    def __post_init__(self) -> None:
        _require_names("modalities", self.modalities, ",:")
        class_names = [one.name for one in self.classes]
        _require_names("classes and regions", [*class_names, *self.regions], ":", (MEAN,))
        _require_classes(self.classes, self.ignored)
        _require_regions(self.regions, class_names[1:])
        _require_names("groups", self.groups, ",")
        known = {*self.groups, *class_names, *self.regions}
        if unknown := [name for name in self.favoured if name not in known]:
            raise UserError(
                f"favoured: expected some of {', '.join(sorted(known))}, received {unknown[0]}"
            )
        owners: dict[str, str] = {}
        for subject in self.subjects:
            for path in map(os.path.abspath, subject.files):
                owner = owners.setdefault(path, subject.name)
                if owner != subject.name:
                    raise UserError(
                        f"subjects: expected files of one subject each, received {path} for both "
                        f"{owner} and {subject.name}"
                    )
            require_subject(subject.name, subject.fold, subject.files)
            if subject.group not in self.groups:
                raise UserError(
                    f"groups: {subject.name}: expected one of {', '.join(self.groups)}, "
                    f"received {subject.group}"
                )


def _require_names(
    what: str, names: Sequence[str], without: str, taken: Sequence[str] = ()
) -> None:
    """Names that files can have, and that differ by more than case."""
    for name in names:
        if fault := name_fault(name, without):
            raise UserError(f"{what}: {fault}")
    if again := repeated(name.casefold() for name in (*taken, *names)):
        reserved = f", and from {', '.join(taken)}, which means something else" if taken else ""
        raise UserError(
            f"{what}: expected names that differ from each other by more than case{reserved}, "
            f"received {', '.join(n for n in names if n.casefold() == again[0])}"
        )


def _require_classes(classes: Sequence[LabelClass], ignored: Sequence[int]) -> None:
    if empty := [one.name for one in classes if not one.labels]:
        raise UserError(f"classes: expected a label value of {empty[0]}, received none")
    values = [*(value for one in classes for value in one.labels), *ignored]
    for value in values:
        if not isinstance(value, int) or not 0 <= value <= 255:
            raise UserError(
                f"classes: expected label values that are whole numbers from 0 to 255, "
                f"received {value}"
            )
    if again := repeated(values):
        owners = [one.name for one in classes if again[0] in one.labels]
        owners += ["those that nobody annotated"] * (again[0] in ignored)
        raise UserError(
            f"classes: expected label values of one class each, received {again[0]} of "
            f"{' and '.join(owners)}"
        )
    if classes and (0 not in classes[0].labels or len(classes) < 2):
        received = ", ".join(f"{one.name} ({', '.join(map(str, one.labels))})" for one in classes)
        raise UserError(
            "classes: expected the background, whose label value is 0, and at least one more, "
            f"received {received}"
        )


def _require_regions(regions: Mapping[str, Sequence[str]], foreground: Sequence[str]) -> None:
    for name, members in regions.items():
        if not members or repeated(members) or not set(members) <= set(foreground):
            raise UserError(
                f"regions: {name}: expected one or more of {', '.join(foreground)}, each once, "
                f"received {', '.join(members) or 'none'}"
            )


def require_subject(name: str, fold: str, files: Iterable[Path]) -> None:
    """Raises UserError where files cannot be named so, or one of these has two purposes."""
    if fault := name_fault(name):
        raise UserError(f"subjects: {fault}")
    if fold and (fault := name_fault(fold, ",")):
        raise UserError(f"folds: {name}: {fault}")
    files = tuple(files)
    if odd := [path for path in files if not _possible(path)]:
        raise UserError(f"subjects: {name}: expected a file, received {str(odd[0])!r:.150}")
    if again := repeated(os.path.abspath(path) for path in files):
        raise UserError(
            f"subjects: {name}: expected a file for each modality and each label map, "
            f"received {again[0]} several times"
        )


def _possible(path: Path) -> bool:
    """Whether the system could have such a file at all: asked for another, it raises anything."""
    try:
        parts = [os.fsencode(part) for part in path.parts]
    except UnicodeEncodeError:
        return False
    return all(b"\0" not in part and len(part) <= 255 for part in parts)


def select_modalities(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The dataset with these of its modalities alone, in this order.

    Raises:
        UserError: a name is none of the dataset's or repeated, or there is none.
    """
    known = dataset.modalities
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise SettingError(
            "modalities",
            f"expected some of {','.join(known)}, each once, for --dataset {dataset.name}, "
            f"received {','.join(names)}",
        )
    order = [known.index(name) for name in names]

    def selected(subject: Subject) -> Subject:
        if len(subject.images) == len(known):
            return replace(subject, images=tuple(subject.images[index] for index in order))
        places = (order.index(index) if index in order else -1 for index in range(len(known)))
        return replace(subject, channels=tuple(places))

    subjects = tuple(map(selected, dataset.subjects))
    return replace(dataset, modalities=tuple(names), subjects=subjects)


def require_groups(dataset: Dataset, names: Sequence[str]) -> None:
    """Raises UserError where a name is none of the dataset's groups."""
    if not set(names) <= set(dataset.groups):
        raise SettingError(
            "training_only",
            f"expected some of the groups {','.join(dataset.groups)} of --dataset {dataset.name}, "
            f"received {','.join(names)}",
        )


def class_indices(
    label: np.ndarray, classes: tuple[LabelClass, ...], ignored: tuple[int, ...] = ()
) -> np.ndarray:
    """Source label values to class indices.

    Args:
        label: integers of any shape; every value belongs to a class or is ignored.

    Returns:
        uint8, same shape, 0 for the background, IGNORED for ignored values.
    """
    table = np.zeros(256, np.uint8)
    table[list(ignored)] = IGNORED
    for index, label_class in enumerate(classes):
        table[list(label_class.labels)] = index
    return table[label]


def require_dir(data_dir: Path | None, dataset: str) -> Path:
    """`data_dir`, if it is a folder. Raises SettingError otherwise."""
    if data_dir is None or not data_dir.is_dir():
        raise SettingError(
            "data_dir", f"expected a folder for --dataset {dataset}, received {data_dir}"
        )
    return data_dir
