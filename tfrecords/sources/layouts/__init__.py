"""Source layouts, one file each; the file's name is the value of --dataset.

A layout is a module with `find(data_dir, workers) -> Dataset`, which only looks at names, not into
volumes, and raises UserError where the layout is not what it expects. (The demonstrations' and the
prostate's first make the volumes that they name.) Of those in UNLABELLED,
`find(data_dir, workers, unlabelled=True)` finds subjects without a label map as well.
"""

import importlib
import pkgutil
from pathlib import Path

from tfrecords.errors import UserError
from tfrecords.sources.subject import Dataset

UNLABELLED = ("decathlon", "table")


def names() -> list[str]:
    """All values of --dataset."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str, data_dir: Path | None, workers: int = 1, unlabelled: bool = False) -> Dataset:
    """The dataset called `name` in `data_dir` (None: where the layout has a place of its own).

    Args:
        unlabelled: take subjects without a label map as well.

    Raises:
        UserError: no such layout, not what it expects, or no subjects of the wanted kinds.
    """
    if name not in names():
        raise UserError(f"--dataset: expected one of {', '.join(names())}, received {name}")
    layout = importlib.import_module(f"{__name__}.{name}")
    if not unlabelled:
        dataset: Dataset = layout.find(data_dir, workers)
        if not dataset.subjects:
            raise UserError(f"{data_dir}: expected subjects of --dataset {name}, found none")
        return dataset
    if name not in UNLABELLED:
        raise UserError(
            f"--unlabelled: expected --dataset {' or '.join(UNLABELLED)}, received {name}"
        )
    dataset = layout.find(data_dir, workers, unlabelled=True)
    labelled = [subject.label is not None for subject in dataset.subjects]
    if all(labelled) or not any(labelled):
        raise UserError(
            f"--unlabelled: {data_dir}: expected subjects with and without a label map, received "
            f"{sum(labelled)} with and {len(labelled) - sum(labelled)} without one"
        )
    return dataset
