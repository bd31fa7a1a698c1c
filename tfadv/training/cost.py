"""What a method costs on this machine: time and peak memory of a step and of a whole volume."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadv.methods.method import Method
from tfadv.run.run import build_model, make_predictor
from tfrecords.reading.batches import training_batches
from tfrecords.reading.record_set import RecordSet, subject_volumes

# The first calls compile and fill buffers.
WARM_STEPS = 2


@dataclass(frozen=True)
class Cost:
    """Of one repeated action.

    Attributes:
        seconds: the median over repetitions.
        peak_bytes: the most that the GPU, or without one this process, has held by then.
    """

    seconds: float
    peak_bytes: int

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, peak memory {self.peak_bytes / 1e9:.2f} GB"


def inference_cost(
    method: Method, hp: Any, records: RecordSet, precision: str, repetitions: int
) -> tuple[Cost, tuple[int, ...]]:
    """Of the record set's first volume, from raw intensities to label map; its shape [Z, Y, X]."""
    model = build_model(method, hp, records.manifest, precision)
    predictor = make_predictor(model, method, hp, records.manifest)
    volume = next(subject_volumes(records, records.manifest.folds)).image.astype(np.float32)
    seconds = [
        _timed(lambda: predictor.predict(volume)["label"].numpy()) for _ in range(1 + repetitions)
    ]
    return Cost(median(seconds[1:]), _peak_bytes()), volume.shape[:3]


def step_cost(
    method: Method, hp: Any, records: RecordSet, precision: str, repetitions: int
) -> Cost:
    """Of one training step, all of the method's updates, its data read as training reads it."""
    # Not 0, as in training.
    keras.utils.set_random_seed(1)
    model = build_model(method, hp, records.manifest, precision)
    recipe = method.recipe(hp, records.manifest)
    steps = WARM_STEPS + repetitions
    batches = training_batches(
        records,
        records.manifest.folds,
        recipe,
        seed=0,
        epochs=range(1),
        steps_per_epoch=steps,
        minibatches=model.players.minibatches,
    )
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
    )
    model.fit(batches, steps_per_epoch=steps, callbacks=[clock], verbose=0)
    return Cost(median(np.diff(ends[WARM_STEPS - 1 :])), _peak_bytes())


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _peak_bytes() -> int:
    if tf.config.list_physical_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
