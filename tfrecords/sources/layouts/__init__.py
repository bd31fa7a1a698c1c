"""Source layouts, one file each; the file's name is the value of --dataset.

A layout is a module with up to three verbs:

- `find(data_dir) -> Dataset` only looks at names, not into volumes, and raises UserError where the
  layout is not what it expects;
- `find_with_unlabelled(data_dir) -> Dataset`, of layouts that can hold subjects without a label
  map, finds these as well;
- `make(data_dir, workers)`, of layouts whose volumes have to be made first, makes those that are
  missing.

A layout that makes volumes of sources, and writes them elsewhere, has a function `prepared_dir_of`
of `data_dir`: the folder, unless the user chooses one. Its verbs take `prepared_dir` as well.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from tfrecords.errors import SettingError, UserError
from tfrecords.sources.subject import Dataset


def names() -> list[str]:
    """All values of --dataset."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def make(name: str, data_dir: Path | None, workers: int, prepared_dir: Path | None = None) -> None:
    """Makes what is missing of the volumes that `find` will name, where the layout makes any.

    Args:
        prepared_dir: where to; None for the layout's own choice.

    Raises:
        UserError: no such layout, or not what it expects.
    """
    layout = _layout(name)
    place = _place(layout, name, prepared_dir)
    if hasattr(layout, "make"):
        layout.make(data_dir, workers, **place)


def find(
    name: str,
    data_dir: Path | None,
    unlabelled: bool = False,
    prepared_dir: Path | None = None,
) -> Dataset:
    """The dataset called `name` in `data_dir` (None: where the layout has a place of its own).

    Args:
        unlabelled: take subjects without a label map as well.
        prepared_dir: that of `make`.

    Raises:
        UserError: no such layout, not what it expects, or no subjects of the wanted kinds.
    """
    layout = _layout(name)
    place = _place(layout, name, prepared_dir)
    if not unlabelled:
        dataset: Dataset = layout.find(data_dir, **place)
        if not dataset.subjects:
            raise UserError(f"{data_dir}: expected subjects of --dataset {name}, found none")
        return dataset
    if not can_be_unlabelled(name):
        able = " or ".join(filter(can_be_unlabelled, names()))
        raise SettingError("unlabelled", f"expected --dataset {able}, received {name}")
    dataset = layout.find_with_unlabelled(data_dir, **place)
    labelled = [subject.label is not None for subject in dataset.subjects]
    if all(labelled) or not any(labelled):
        raise SettingError(
            "unlabelled",
            f"{data_dir}: expected subjects with and without a label map, received "
            f"{sum(labelled)} with and {len(labelled) - sum(labelled)} without one",
        )
    return dataset


def can_be_unlabelled(name: str) -> bool:
    """Whether a layout can hold subjects without a label map."""
    return hasattr(_layout(name), "find_with_unlabelled")


def _layout(name: str) -> Any:
    if name not in names():
        raise SettingError("dataset", f"expected one of {', '.join(names())}, received {name}")
    return importlib.import_module(f"{__name__}.{name}")


def _place(layout: Any, name: str, prepared_dir: Path | None) -> dict[str, Path]:
    if prepared_dir is None:
        return {}
    if not hasattr(layout, "prepared_dir_of"):
        raise SettingError(
            "prepared_dir", f"expected a dataset that is prepared from others, received {name}"
        )
    return {"prepared_dir": prepared_dir}
