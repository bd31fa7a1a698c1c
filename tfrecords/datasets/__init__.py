"""Source layouts, one file each; the file's name is the value of --dataset.

A layout is a module with `find(data_dir, workers) -> Dataset`, which only looks at names, not into
volumes, and raises UserError where the layout is not what it expects.
"""

import importlib
import pkgutil
from pathlib import Path

from tfrecords.errors import UserError
from tfrecords.subject import Dataset


def names() -> list[str]:
    """All values of --dataset."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str, data_dir: Path | None, workers: int = 1) -> Dataset:
    """The dataset called `name` in `data_dir` (None: where the layout has a place of its own)."""
    if name not in names():
        raise UserError(f"--dataset: expected one of {', '.join(names())}, received {name}")
    dataset: Dataset = importlib.import_module(f"{__name__}.{name}").find(data_dir, workers)
    if not dataset.subjects:
        raise UserError(f"{data_dir}: expected subjects of --dataset {name}, found none")
    return dataset
