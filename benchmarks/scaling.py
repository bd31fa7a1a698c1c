"""How a training step scales over threads, and over replicas on logical CPUs of one machine.

python benchmarks/scaling.py [METHOD ...]

Each setting is a process of its own, in which one thing differs; their steps are done in turns.
Of replicas each has its own minibatch, so that two do twice the work of one.
"""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from roofline import STEPS
from workers import Action, offer, worker

from tfadv import methods
from tfadv.adversarial import AdversarialModel

PRECISION = "mixed_bfloat16"
ROUNDS = 5
Setting = tuple[int, int]  # Threads, and replicas.


def step_of(name: str, threads: int, replicas: int) -> Action:
    """A training step of `STEPS`; only possible before TensorFlow's first operation."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * replicas,
    )
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    alone = replicas == 1
    strategy = tf.distribute.get_strategy() if alone else tf.distribute.MirroredStrategy(devices)
    image, label, maps, values = STEPS[name]
    method = methods.get(name).configure("paper", [f"precision={PRECISION}", *values])
    keras.config.set_dtype_policy(PRECISION)
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = AdversarialModel(method.players(image[-1], tuple("abcdefg"[:maps])))
        model.compile()
    random = np.random.default_rng(0)
    images = tf.constant(random.normal(size=image), tf.float32)
    labels = tf.constant(random.integers(0, 2, label), tf.uint8)
    batch = {"image": images, "label": labels}
    given = strategy.experimental_distribute_values_from_function(lambda context: batch)

    @tf.function(autograph=False)
    def step() -> None:
        strategy.run(model.train_step, (given,))

    return step


def least_seconds(name: str, settings: Sequence[Setting]) -> list[float]:
    """Of a step in each setting."""
    with ExitStack() as stack:
        program = [sys.executable, Path(__file__), "--worker", name]
        steps = [stack.enter_context(worker([*program, *setting])) for setting in settings]
        found: list[list[float]] = [[] for _ in settings]
        for number in range(1 + ROUNDS):
            for step, seconds in zip(steps, found, strict=True):
                start = time.perf_counter()
                step()
                if number:  # The first one traces.
                    seconds.append(time.perf_counter() - start)
    return [min(seconds) for seconds in found]


def table(names: Sequence[str], processors: int) -> None:
    """Prints it: threads to as many as there are processors, and replicas, by doubling."""
    counts = [2**power for power in range(processors.bit_length())]
    settings = [*((count, 1) for count in counts), *((processors, count) for count in counts[1:])]
    threads, replicas = [f"threads: {n}" for n in counts], [f"replicas: {n}" for n in counts[1:]]
    heads = [*threads, *replicas]
    print(f"| method | {' | '.join(heads)} |\n|---{'|---' * len(heads)}|")
    for name in names:
        seconds = least_seconds(name, settings)
        done = [replicas / s for (_, replicas), s in zip(settings, seconds, strict=True)]
        cells = [f"{s:.3f} s ({d / done[0]:.2f})" for s, d in zip(seconds, done, strict=True)]
        print(f"| `{name}` | {' | '.join(cells)} |", flush=True)
    print("\nSeconds of a step; in brackets minibatches a second, by those of one thread.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        chosen, *numbers = sys.argv[2:]
        offer(step_of(chosen, *map(int, numbers)))
    else:
        table(sys.argv[1:] or list(STEPS), os.cpu_count() or 1)
