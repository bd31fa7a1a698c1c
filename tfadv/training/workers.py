"""Several processes, one on each node, that train one run together.

Each holds the whole model, and computes the gradients of its replicas' parts of a batch; an
all-reduce over the network makes them one. So all have the same weights after every step. The
first worker is the chief: it alone validates, logs and saves. The others wait for it in the next
step's first all-reduce.
"""

import faulthandler
import hashlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from absl import logging
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2 as coordination
from tensorflow.python.eager.context import context

from tfadv.adversarial import AdversarialModel
from tfadv.players import Batch
from tfadv.training.nodes import VARIABLE, Nodes
from tfadv.training.stops import Logs, StopAtSignal, StoppedError
from tfrecords.errors import UserError

JOIN_S = 600  # Until all workers have come.
SILENT_S = 30  # Until a worker that says nothing is lost; TensorFlow's own 10 a busy one can be.
LOST = "Collective ops is aborted"
STOPPING = "stopping"
REMEDY = "The same command on every node goes on with the epoch after them"


@dataclass(frozen=True)
class Workers:
    """Those that train together, and which of them this process is; by default it is alone."""

    addresses: tuple[str, ...] = ("",)
    index: int = 0
    strategy: tf.distribute.Strategy | None = None

    @property
    def several(self) -> bool:
        return len(self.addresses) > 1

    @property
    def chief(self) -> bool:
        return self.index == 0

    def name(self, index: int) -> str:
        return f"worker {index + 1} of {len(self.addresses)} ({self.addresses[index]})"

    def agree(self, **values: Any) -> None:
        """Waits until all are here.

        Raises:
            UserError: a worker holds another value than the chief.
        """
        if not self.strategy:
            return
        row = [self.index, *(_digest(value) for value in values.values())]
        rows = self.strategy.gather(tf.constant([row], tf.int64), axis=0).numpy()
        (chief,) = rows[rows[:, 0] == 0]
        for other in sorted(rows.tolist()):
            differing = [
                name.replace("_", " ")
                for name, one, two in zip(values, chief[1:], other[1:], strict=True)
                if one != two
            ]
            if differing:
                raise UserError(
                    f"{self.name(other[0])}: expected the chief's {', '.join(differing)}, received "
                    "others. Start the same command on every node, with the same files at the "
                    "same paths"
                )

    @contextmanager
    def losses_named(self, saved: Callable[[], str]) -> Iterator[None]:
        """Turns TensorFlow's error of a worker that is gone into a UserError.

        Args:
            saved: what is kept, for words.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if not self.several or LOST not in str(error):
                raise
            tasks = {int(task) for task in re.findall(r"/task:(\d+)", str(error))} - {self.index}
            lost = ", ".join(self.name(task) for task in sorted(tasks)) or "another worker"
            raise UserError(
                f"{self.name(self.index)}: lost {lost}, which was killed or ended by itself: its "
                f"own last line says why. {saved()}. {REMEDY}"
            ) from None


ALONE = Workers()


def join(nodes: Nodes | None) -> Workers:
    """Waits for the other workers. Before TensorFlow has found its devices.

    Raises:
        UserError: they do not come, or cannot be reached.
    """
    if nodes is None:
        return ALONE
    workers = Workers(nodes.addresses, nodes.index)
    logging.info(
        "%s: waiting at most %d s for all of %s",
        *(workers.name(nodes.index), JOIN_S, ", ".join(nodes.addresses)),
    )
    task = {"type": "worker", "index": nodes.index}
    job = coordination.CoordinatedJob(name="worker", num_tasks=len(nodes.addresses))
    os.environ[VARIABLE] = json.dumps({"cluster": {"worker": nodes.addresses}, "task": task})
    context().configure_coordination_service(
        "standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=JOIN_S * 1000,
        heartbeat_timeout_in_ms=SILENT_S * 1000,
        coordinated_jobs=[job],
    )
    try:
        with _patience():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        reason = error.message.partition("\n")[0]
        raise UserError(
            f"{workers.name(nodes.index)}: expected all of {', '.join(nodes.addresses)} within "
            f"{JOIN_S} s, and its own port free, received: {reason}"
        ) from None
    # All have equally many batches, of one size, which graphs may know: they are optimised, and so
    # rounded, as those of one process. And no step asks all workers whether there is a batch.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return Workers(nodes.addresses, nodes.index, strategy)


@contextmanager
def _patience() -> Iterator[None]:
    """Ends this process after JOIN_S, or by Ctrl-C.

    TensorFlow waits for ever for a worker that never comes, and lets no other Python run meanwhile.
    """
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(JOIN_S, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            signal.signal(signal.SIGINT, previous)


class StopTogether(StopAtSignal):
    """Ends all workers after the same step, the first that began after one received a signal."""

    def __init__(self) -> None:
        super().__init__()
        self.stopping = False

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.stopping and self.received is None:
            raise StoppedError("a signal to another worker")
        if self.stopping:
            super().on_train_batch_end(batch, logs)


def train_function(
    model: AdversarialModel, stop: StopTogether
) -> Callable[[Iterator[Batch]], Mapping[str, tf.Tensor]]:
    """One step, as Keras' own, which cannot take means over several workers (keras#20585).

    Logs are means over the replicas of all workers: each of these sees the same, and what ends a
    run by them ends it everywhere.
    """
    strategy = model.distribute_strategy

    def of_replica(batch: Batch, stopping: tf.Tensor) -> list[tf.Tensor]:
        logs = model.train_step(batch)
        values = tf.stack([*(tf.cast(log, tf.float32) for log in logs.values()), stopping])
        replica = tf.distribute.get_replica_context()
        return tf.unstack(replica.all_reduce(tf.distribute.ReduceOp.MEAN, values))

    @tf.function(autograph=False)
    def step(iterator: Iterator[Batch], stopping: tf.Tensor) -> list[tf.Tensor]:
        means = strategy.run(of_replica, (next(iterator), stopping))
        return [strategy.experimental_local_results(value)[0] for value in means]

    def perform(iterator: Iterator[Batch]) -> dict[str, tf.Tensor]:
        *means, stopping = step(iterator, tf.constant(float(stop.received is not None)))
        stop.stopping = bool(stopping > 0)
        return dict(zip(model.trackers, means, strict=True))

    return perform


def _digest(value: Any) -> int:
    text = json.dumps(value, sort_keys=True, default=str)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
