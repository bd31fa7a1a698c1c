"""Early ends of a run: divergence, a dead player, signals."""

import math
import signal
from types import FrameType
from typing import Any

import keras

from tfadv.players import Players
from tfrecords.errors import UserError

Logs = dict[str, float]
ADVICE = (
    "The last good checkpoint stays. Lower the players' rates (--hp.learning_rate and others, "
    "which launch/methods.py METHOD lists), or use --precision float32, in a new --work_dir"
)


class StopAtDivergence(keras.callbacks.Callback):
    """Ends the run at the first loss or gradient that is NaN, infinite or beyond all bounds."""

    LIMIT = 1e9  # Losses are means over voxels: none that learns comes near.

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        bad = [name for name, value in logs.items() if not math.isfinite(value)]
        if bad:
            raise UserError(
                f"epoch {self.epoch}, step {batch + 1}: {', '.join(bad)} is NaN or infinite. "
                f"{ADVICE}"
            )
        large = [name for name, value in logs.items() if abs(value) > self.LIMIT]
        if large:
            raise UserError(
                f"epoch {self.epoch}, step {batch + 1}: {', '.join(large)} diverges, beyond "
                f"{self.LIMIT:g}. {ADVICE}"
            )


class StopAtDeadPlayer(keras.callbacks.Callback):
    """Ends the run when the loss of an update that says so (`Update.dies`) stays at zero."""

    STEPS = 20
    ZERO = 1e-8

    def __init__(self, players: Players) -> None:
        super().__init__()
        self.advice = {
            term.name: update.dies
            for update in players.schedule
            for term in update.terms
            if update.dies
        }
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if batch + 1 < self.STEPS:
            return
        # Logs are means since the epoch began.
        for term, advice in self.advice.items():
            if abs((logs or {})[term]) < self.ZERO:
                raise UserError(
                    f"epoch {self.epoch}: {term} has been zero for {batch + 1} steps: {advice}. "
                    "The last good checkpoint stays; go on in a new --work_dir"
                )


class StoppedError(Exception):
    """A signal asked the run to end."""


class StopAtSignal(keras.callbacks.Callback):
    """Ends the run between two steps after SIGTERM or Ctrl-C; a second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.received: int | None = None
        self.previous: dict[int, Any] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.previous[number] = signal.signal(number, self._note)

    def restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        signal.signal(number, self.previous[number])

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.received is not None:
            raise StoppedError(signal.Signals(self.received).name)
