"""A training run on disk: its settings, checkpoints, history and TensorBoard logs."""

import csv
import fcntl
import io
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadv.adversarial import AdversarialModel
from tfadv.run.settings import Settings
from tfrecords.errors import SettingError, UserError
from tfrecords.files import file_checksum, read_json, write_file, write_json, writing

# Of the files below.
VERSION = 3
# Beside the values of each variable: groups, headers, alignment; more than was ever seen.
HDF5_BYTES = 4096
REMEDY = "Train again in another --work_dir"


@dataclass
class Progress:
    """How far a run has come: finished epochs, one row of logs each, and the best one so far.

    Attributes:
        best: the criterion's value in the best epoch.
        weights: SHA-256 of the checkpoints that are kept, by epoch. Runs of equal weights differ
            in it: HDF5 notes when it was written.
        readings: of gradients and verdicts, each with the number of its step.
        seconds: of an epoch's steps and validation, by epoch; runs of equal weights differ in it.
        replicas: of all workers where several train; 0 where one process does.

    Raises:
        SettingError: these contradict each other.
    """

    epochs: int = 0
    best_epoch: int = 0
    best: float = math.nan
    history: list[dict[str, int | float]] = field(default_factory=list)
    weights: dict[int, str] = field(default_factory=dict, compare=False)
    readings: list[dict[str, int | float]] = field(default_factory=list)
    seconds: dict[int, float] = field(default_factory=dict, compare=False)
    replicas: int = 0

    def __post_init__(self) -> None:
        rows = [row.get("epoch") for row in self.history]
        if len(rows) != self.epochs or rows != list(range(1, len(rows) + 1)):
            raise SettingError(
                "history", f"expected a row for each of {self.epochs} epochs, received {rows}"
            )
        least = min(self.epochs, 1)
        if not least <= self.best_epoch <= self.epochs:
            raise SettingError(
                "best_epoch",
                f"expected one of {self.epochs} finished epochs, received {self.best_epoch}",
            )

    @property
    def minutes(self) -> float:
        """Of all epochs' steps and validation; NaN where one was not timed."""
        timed = [self.seconds.get(epoch, math.nan) for epoch in range(1, self.epochs + 1)]
        return sum(timed) / 60


class WorkDir:
    """The files of one run. Every write is atomic."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.tensorboard = folder / "tensorboard"
        self.predictions = folder / "predictions"
        self.metrics = folder / "metrics.csv"
        self.subjects = folder / "subjects.csv"
        self.summary = folder / "summary.txt"
        self.picture = folder / "picture.png"
        self.boxplots = folder / "boxplots.png"
        self.hyperparameters = folder / "hyperparameters.json"
        self.inherited = folder / "inherited.json"
        self._progress = folder / "progress.json"
        self._locked = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from writing here, for as long as this one lives at most.

        Raises:
            UserError: another process holds it.
        """
        if self._locked:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:  # Let go when the process ends, however.
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{self.folder}: another process trains or evaluates this run; wait for it, or "
                    "choose another --work_dir"
                ) from None
            self._locked = True
            try:
                yield
            finally:
                self._locked = False

    def begin(self, settings: Settings) -> None:
        """Notes the settings. Raises UserError where the folder holds a run with other ones.

        The number of epochs may differ: a longer run goes on from a shorter one.
        """
        self.require_same(settings)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)
        write_json(self.hyperparameters, settings, VERSION)

    def require_same(self, settings: Settings) -> None:
        """Raises UserError where the folder holds a run with other settings, epochs aside."""
        if self.hyperparameters.is_file():
            differing = _differences(asdict(self.settings()), asdict(settings))
            if differing:
                raise UserError(
                    f"{self.folder}: holds a run with other settings ({'; '.join(differing)}). "
                    "Give the same flags to resume it, or another --work_dir"
                )

    def settings(self) -> Settings:
        """Raises UserError where there is no run."""
        if not self.hyperparameters.is_file():
            raise UserError(
                f"{self.hyperparameters}: no such file; expected a run made by launch/train.py"
            )
        return read_json(self.hyperparameters, Settings, VERSION, REMEDY)

    def progress(self) -> Progress:
        if not self._progress.is_file():
            return Progress()
        return read_json(self._progress, Progress, VERSION, REMEDY)

    @property
    def is_evaluated(self) -> bool:
        """Whether its tables are there, and made after its last epoch."""
        tables = (self.metrics, self.subjects)
        return all(table.is_file() for table in tables) and all(
            table.stat().st_mtime >= self._progress.stat().st_mtime for table in tables
        )

    def save(self, model: AdversarialModel, progress: Progress) -> None:
        """The state after an epoch; what an earlier epoch left goes once this one is complete.

        Raises:
            UserError: a weight is NaN or infinite; the earlier checkpoint stays.
            OSError: there is no room, or another failure of the disk; the earlier one stays, too.
        """
        _require_finite(model, progress.epochs)
        path = self._weights(progress.epochs)
        _require_room(self.checkpoints, model)
        with writing(path) as temporary:
            model.save_weights(temporary)
            checksum = file_checksum(temporary)
        kept = {progress.best_epoch, progress.epochs}
        progress.weights = {e: sha for e, sha in progress.weights.items() if e in kept}
        progress.weights[progress.epochs] = checksum
        # The disk holds the weights before it holds the note that vouches for them.
        write_json(self._progress, progress, VERSION)
        keep = {self._weights(epoch) for epoch in kept}
        for stale in set(self.checkpoints.glob("*.weights.h5")) - keep:
            stale.unlink()
        self._write_tables(progress)

    def require_whole(self) -> None:
        """Raises UserError where a checkpoint that is kept is missing or another one."""
        progress = self.progress()
        for epoch in progress.weights:
            if not self._weights(epoch).is_file():
                raise UserError(
                    f"{self._weights(epoch)}: no such file; the run is damaged. {REMEDY}"
                )
            self._require_saved(progress, epoch)

    def restore(self, model: keras.Model) -> Progress:
        """The last state that `save` completed, into the model; Progress() where there is none."""
        progress = self.progress()
        if progress.epochs:
            self._load(model, progress, progress.epochs)
        return progress

    def restore_best(self, model: keras.Model) -> int:
        """The best epoch's weights, into the model; returns that epoch.

        Raises:
            UserError: no epoch was finished.
        """
        progress = self.progress()
        if not progress.best_epoch:
            raise UserError(f"{self.folder}: no epoch is finished yet; run launch/train.py on")
        self._load(model, progress, progress.best_epoch)
        return progress.best_epoch

    def _load(self, model: keras.Model, progress: Progress, epoch: int) -> None:
        """Raises UserError where the file is missing, is another one, or does not fit the model."""
        self._require_saved(progress, epoch)
        load_weights(model, self._weights(epoch))

    def _require_saved(self, progress: Progress, epoch: int) -> None:
        path = self._weights(epoch)
        if path.is_file() and file_checksum(path) != progress.weights.get(epoch):
            raise UserError(
                f"{path}: checksum differs from the one in {self._progress.name}; the run is "
                f"damaged. {REMEDY}"
            )

    def _weights(self, epoch: int) -> Path:
        return self.checkpoints / f"epoch-{epoch:04d}.weights.h5"

    def _write_tables(self, progress: Progress) -> None:
        for name, rows in (("history", progress.history), ("gradients", progress.readings)):
            if rows:
                text = io.StringIO()
                writer = csv.DictWriter(text, fieldnames=list(rows[-1]), extrasaction="ignore")
                writer.writeheader()
                writer.writerows(rows)
                write_file(self.folder / f"{name}.csv", text.getvalue().encode())


def load_weights(model: keras.Model, path: Path) -> None:
    """Raises UserError where the file is missing or does not fit the model."""
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be loaded ({reason}); the run is damaged") from error


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    def flat(settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, **settings["hyperparameters"], "hyperparameters": None, "epochs": None}

    old, new = flat(found), flat(wanted)
    return [
        f"{key}: {old.get(key)} there, {new.get(key)} given"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _require_room(folder: Path, model: AdversarialModel) -> None:
    """Raises OSError where the disk cannot take the model's weights.

    HDF5 itself ends the process by SIGSEGV on a full disk.
    """
    needed = sum(
        math.prod(variable.shape) * tf.as_dtype(variable.dtype).size + HDF5_BYTES
        for variable in model.saved_variables
    )
    with tempfile.TemporaryFile(dir=folder) as reserved:
        try:
            os.posix_fallocate(reserved.fileno(), 0, HDF5_BYTES + needed)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder)) from None


def _require_finite(model: keras.Model, epoch: int) -> None:
    for variable in model.variables:
        values = keras.ops.convert_to_numpy(variable)
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise UserError(
                f"epoch {epoch}: {variable.path} is NaN or infinite; its checkpoint is not written "
                "and the last good one stays. Lower the learning rate, or use --precision float32"
            )
