"""A model's folder of versions, NAME/1, NAME/2 and so on, as servers of SavedModels have them."""

import errno
import os
import re
from pathlib import Path

from tfrecords.errors import SettingError

SAVED_MODEL = "saved_model.pb"
NUMBER = re.compile(r"[1-9]\d{0,17}")  # Servers read it as a 64-bit integer.
TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def latest(model: Path) -> Path:
    """The latest version in a folder of versions; any other folder is taken as it is.

    So a version's own folder is that version. Whether a model is there, `read_description` tells.
    """
    if is_model(model):
        return model
    return model / str(max(numbers)) if (numbers := _numbers(model)) else model


def is_model(folder: Path) -> bool:
    """Whether a folder is a model itself, not one of versions."""
    return (folder / SAVED_MODEL).is_file()


def is_version_of(model: Path, folder: Path) -> bool:
    """Whether a path is one of a version in a folder, there or not."""
    return model.parent == folder and bool(NUMBER.fullmatch(model.name))


def name_of(model: Path) -> str:
    """NAME of a model, or NAME-VERSION of a version's own folder."""
    folder = model.resolve()
    is_version = is_model(folder) and NUMBER.fullmatch(folder.name)
    return f"{folder.parent.name}-{folder.name}" if is_version else folder.name


def require_versions(folder: Path) -> None:
    """Raises SettingError where a folder cannot be one of versions: it holds something else."""
    if not folder.exists() or _numbers(folder):
        return
    found = "a model itself" if is_model(folder) else "something else"
    # What an export that was killed left has a name with a point first.
    if not folder.is_dir() or any(not path.name.startswith(".") for path in folder.iterdir()):
        raise SettingError(
            "out_dir",
            f"expected a folder of a model's versions, or none yet, received {folder}, which is "
            f"{found}; choose another folder",
        )


def publish(new: Path, folder: Path) -> Path:
    """Moves a finished model to the next version of a folder on the same disk; returns its place.

    No version is ever replaced, and none is seen before it is whole: who exports at the same time
    gets another number.
    """
    while True:
        number = max(_numbers(folder), default=0) + 1
        try:
            os.rename(new, folder / str(number))  # Fails where there is something.
        except OSError as error:
            if error.errno not in TAKEN:
                raise
        else:
            return folder / str(number)


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(path.name) for path in folder.iterdir() if NUMBER.fullmatch(path.name)]
