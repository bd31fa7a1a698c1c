"""Trains methods as one of the workers that TF_CONFIG names, or alone with two replicas.

Started by `test_workers`: RECORDS FOLDER METHOD, then the next method's three.
"""

import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from tests.tfadv.methods.conforming import without_noise
from tfadv import methods
from tfadv.methods.method import Method
from tfadv.players import Players
from tfadv.run.run import Run
from tfadv.run.work_dir import WorkDir
from tfadv.training import train as training
from tfadv.training.nodes import nodes_of
from tfadv.training.workers import join
from tfrecords.reading.record_set import open_record_set

# Of these, what a method has.
TINY = {"precision": "float32", "batch_size": 2, "epochs": 2, "steps_per_epoch": 2} | {
    "crop_size": 32,
    "convolutions": 1,
    "width": 4,
    "discriminator_width": 4,
    "critic_width": 4,
}


def main(arguments: list[str]) -> None:
    logging.set_verbosity(logging.INFO)
    workers = join(nodes_of(None))
    if not workers.several:
        (cpu,) = tf.config.list_physical_devices("CPU")
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        mirrored = tf.distribute.MirroredStrategy(tf.config.list_logical_devices("CPU"))
        setattr(training, "_strategy", lambda: mirrored)  # noqa: B010
    for records, folder, name in zip(*(iter(arguments),) * 3, strict=True):
        run = Run.new(plainly(methods.get(name)), open_record_set(Path(records)))
        training.train(WorkDir(Path(folder)), run, workers=workers)


def plainly(kind: Any) -> Method:
    """The method, tiny, whose players are `plain`."""

    class Plain(kind):
        def trained(self, built: Players) -> Players:
            return plain(super().trained(built))

    has = {field.name for field in fields(kind)}
    return Plain.configure("small", [f"{n}={value}" for n, value in TINY.items() if n in has])


def plain(players: Players) -> Players:
    """Without noise, which replicas draw for themselves; by SGD, as Adam hides a wrong scale."""
    rates = {name: keras.optimizers.SGD(1e-2) for name in players.optimizers}
    return replace(without_noise(players), optimizers=rates)


if __name__ == "__main__":
    main(sys.argv[1:])
