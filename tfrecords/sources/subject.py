"""What a source layout on disk holds: subjects, their files, and what the labels mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tfrecords.errors import SettingError

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
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None
    group: str = "all"
    fold: str = ""
    channels: tuple[int, ...] = ()

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
        groups: the first is the one that importance sampling favours.
        ignored: source label values of voxels that nobody annotated; no class has them.
    """

    name: str
    modalities: tuple[str, ...]
    classes: tuple[LabelClass, ...]
    subjects: tuple[Subject, ...]
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[str, ...] = ("all",)
    ignored: tuple[int, ...] = ()


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
