"""What a method costs on this machine: time and peak memory of a step and of a whole volume."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import keras
import numpy as np
import tensorflow as tf

from tfadv.run.run import Run
from tfrecords.reading.record_set import damage_named, subject_volumes

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


def inference_cost(run: Run, repetitions: int) -> tuple[Cost, tuple[int, ...]]:
    """Of the record set's first volume, from raw intensities to label map; its shape [Z, Y, X]."""
    predictor = run.predictor(run.build_model())
    volume = next(subject_volumes(run.records, run.manifest.folds)).image.astype(np.float32)
    seconds = [
        _timed(lambda: predictor.predict(volume)["label"].numpy()) for _ in range(1 + repetitions)
    ]
    return Cost(median(seconds[1:]), peak_bytes()), volume.shape[:3]


def step_cost(run: Run, repetitions: int) -> Cost:
    """Of one training step, all of the method's updates, its data read as training reads it."""
    # Not 0, as in training.
    keras.utils.set_random_seed(1)
    model = run.build_model()
    steps = WARM_STEPS + repetitions
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
    )
    batches = run.batches(model, range(-(-steps // run.method.steps_per_epoch)))
    with damage_named(run.records):
        model.fit(batches, steps_per_epoch=steps, callbacks=[clock], verbose=0, shuffle=False)
    return Cost(median(np.diff(ends[WARM_STEPS - 1 :])), peak_bytes())


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def peak_bytes() -> int:
    """See `Cost`."""
    if tf.config.list_physical_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
