"""The loss scales of a run in float16: logged, and an early end where they fall for ever."""

import keras

from tfadv.loss_scaling import scales
from tfadv.players import Players
from tfadv.training.callbacks import Logs
from tfrecords.errors import UserError


class LossScales(keras.callbacks.Callback):
    """Logs the loss scale of every optimizer that has one, and ends the run where one is too small.

    A scale is halved while gradients are not finite. Below 1 it is not what makes them so.
    """

    def __init__(self, players: Players) -> None:
        super().__init__()
        self.scales = scales(players.optimizers)
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        for name, scale in self.scales.items():
            if scale.numpy() < 1:
                raise UserError(
                    f"epoch {self.epoch}, step {batch + 1}: the gradients of {name} are NaN or "
                    f"infinite in float16, whatever its loss scale, which fell to "
                    f"{scale.numpy():g}. The last good checkpoint stays; give --precision float32 "
                    "or mixed_bfloat16, in a new --work_dir"
                )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        logs |= {f"{name}_loss_scale": float(scale.numpy()) for name, scale in self.scales.items()}
