"""Trackers, such as MLflow's or W&B's: whoever is to be told of a run besides TensorBoard.

tfadv knows none of them. `--tracker module:function` names a function of the user's,

    def start(settings: dict[str, Any]) -> Tracker: ...

which is given what determines the run and returns who is told (docs/tensorboard.md has examples).
"""

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from absl import logging

from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import SettingError


class Tracker(Protocol):
    """What a tracker does."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Takes numbers by their tags, which are TensorBoard's; a tag may come again at a step."""

    def finish(self) -> None:
        """Ends, whether training did or was stopped."""


Start = Callable[[dict[str, Any]], Tracker]


def find_tracker(name: str) -> Start:
    """The function "module:function"; modules in the current folder are found as well.

    Raises:
        SettingError: there is none, or importing it fails.
    """
    module, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise _refused(name, error) from error
    if not callable(found):
        raise SettingError(
            "tracker", f"expected a function as module:function, received {name}: {found!r:.100}"
        )
    return found


class Tracking:
    """Tells a tracker, whose failures cost no training: the first is told, and ends the tracking.

    Args:
        start: None: nobody is told.

    Raises:
        SettingError: it does not start.
    """

    def __init__(self, start: Start | None, settings: Settings, work_dir: WorkDir) -> None:
        self.tracker: Tracker | None = None
        if start is not None:
            try:
                self.tracker = start(described(settings, work_dir))
            except Exception as error:
                raise _refused(getattr(start, "__name__", repr(start)), error) from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._tell(lambda tracker: tracker.log(step, dict(values)))

    def finish(self) -> None:
        self._tell(lambda tracker: tracker.finish())

    def _tell(self, say: Callable[[Tracker], None]) -> None:
        if self.tracker is None:
            return
        try:
            say(self.tracker)
        except Exception as error:  # Of any kind: it is the user's, and reaches over networks.
            logging.warning(
                "the tracker failed (%s: %s) and is told no more; training goes on",
                type(error).__name__,
                error,
            )
            self.tracker = None


def described(settings: Settings, work_dir: WorkDir) -> dict[str, Any]:
    """What determines a run, and where it is, as one table: hyperparameters beside the rest."""
    values = asdict(settings)
    hyperparameters = values.pop("hyperparameters")
    return {"work_dir": str(work_dir.folder), **values, **hyperparameters}


def _refused(name: str, error: Exception) -> SettingError:
    return SettingError(
        "tracker",
        "expected a function as module:function that starts a tracker, received "
        f"{name}: {type(error).__name__}: {error}",
    )
