"""Several processes that train one run: over loopback, which is the network of this machine."""

import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.tfadv.checkpoints import last_checkpoint
from tests.tfadv.workers import LIMIT_S, ROOT, end_well, ended, start, two_workers
from tfadv.run.work_dir import Progress, WorkDir
from tfadv.training.stops import StoppedError
from tfadv.training.train import _require_same_replicas
from tfadv.training.workers import ALONE, LOST, StopTogether, Workers, _digest
from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet


class Gathered:
    """Of a strategy, what `agree` asks for: the rows of all workers, of which this one is known."""

    def __init__(self, *others: list[int]) -> None:
        self.others = others

    def gather(self, row: tf.Tensor, axis: int) -> tf.Tensor:
        return tf.concat([row, tf.constant(self.others, tf.int64)], axis)


def three(index: int, *others: list[int]) -> Workers:
    strategy: Any = Gathered(*others)
    return Workers(("a:1", "b:2", "c:3"), index, strategy)


def row(index: int, *values: object) -> list[int]:
    return [index, *map(_digest, values)]


def test_who_holds_other_values_than_the_chief_is_named() -> None:
    same = {"settings": {"width": 4}, "code": "x"}
    three(1, row(0, *same.values()), row(2, *same.values())).agree(**same)
    workers = three(0, row(2, {"width": 5}, "x"), row(1, *same.values()))
    with pytest.raises(UserError, match=r"^worker 3 of 3 \(c:3\): expected the chief's settings, "):
        workers.agree(**same)
    with pytest.raises(UserError, match=r"^worker 2 of 3.*the chief's finished epochs, received"):
        three(1, row(0, 3)).agree(finished_epochs=2)


def test_nobody_to_agree_with() -> None:
    ALONE.agree(settings=1)
    assert ALONE.chief
    assert not ALONE.several


def test_a_lost_worker_is_named_and_other_errors_stay() -> None:
    lost = tf.errors.UnavailableError(
        None, None, f"{LOST} by: /job:worker/replica:0/task:2 is gone"
    )
    with pytest.raises(UserError) as error, three(1).losses_named(lambda: "3 are saved"):
        raise lost
    assert str(error.value) == (
        "worker 2 of 3 (b:2): lost worker 3 of 3 (c:3), which was killed or ended by itself: its "
        "own last line says why. 3 are saved. The same command on every node goes on with the "
        "epoch after them"
    )
    for workers, other in ((ALONE, lost), (three(1), tf.errors.DataLossError(None, None, "x"))):
        with pytest.raises(type(other)), workers.losses_named(lambda: ""):
            raise other


def test_all_stop_when_all_know_of_a_signal() -> None:
    stop = StopTogether()
    stop.received = signal.SIGTERM
    stop.on_train_batch_end(0)  # The others know of it one step later.
    stop.stopping = True
    with pytest.raises(StoppedError, match=r"^SIGTERM$"):
        stop.on_train_batch_end(1)
    stop.received = None
    with pytest.raises(StoppedError, match=r"^a signal to another worker$"):
        stop.on_train_batch_end(1)


def test_epochs_of_other_replicas_are_not_gone_on_with() -> None:
    progress = Progress()
    _require_same_replicas(progress, 4)
    assert progress.replicas == 4
    trained = Progress(1, 1, 0.5, [{"epoch": 1}], replicas=4)
    _require_same_replicas(trained, 4)
    with pytest.raises(UserError, match=r"4 replicas on several nodes.*1 finished.*2 replicas"):
        _require_same_replicas(trained, 2)
    with pytest.raises(UserError, match="received one process: batches would be others"):
        _require_same_replicas(trained, 0)


def training(records: Path, work_dir: Path) -> list[object]:
    return [
        *(ROOT / "launch" / "train.py", "--method", "kohl_purely_adversarial", "--preset", "small"),
        *("--records", records, "--work_dir", work_dir, "--epochs", 3, "--steps_per_epoch", 20),
        *("--hp.batch_size=2", "--hp.width=4", "--hp.discriminator_width=4", "--hp.convolutions=1"),
    ]


def wait_for_epoch(number: int, work_dir: WorkDir) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while work_dir.progress().epochs < number:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.variants  # Minutes of two cores.
def test_a_killed_worker_ends_all_and_the_run_goes_on_bit_for_bit(
    records: RecordSet, tmp_path: Path
) -> None:
    """SIGKILL of the worker that is not the chief, then SIGTERM of it, then to the end."""
    whole, killed = (WorkDir(tmp_path / name) for name in ("whole", "killed"))
    end_well(two_workers(training(records.folder, whole.folder)))

    chief, other = two_workers(training(records.folder, killed.folder))
    wait_for_epoch(1, killed)
    other.kill()
    ended(other)
    status, _, error = ended(chief)
    assert status == 1
    (line,) = error.splitlines()
    assert line.startswith("error: worker 1 of 2 (127.0.0.1:")
    assert "lost worker 2 of 2 (127.0.0.1:" in line
    assert f"of 3 epochs are saved in {killed.folder}. The same command on every node" in line

    chief, other = two_workers(training(records.folder, killed.folder))
    wait_for_epoch(killed.progress().epochs + 1, killed)
    other.send_signal(signal.SIGTERM)
    (status, _, error), (of_other, _, said) = ended(chief), ended(other)
    assert (status, of_other) == (1, 1)
    epochs = killed.progress().epochs
    saved = f"{epochs} of 3 epochs are saved in {killed.folder}"
    assert error.startswith(f"error: stopped by a signal to another worker; {saved}")
    assert said.startswith(f"error: stopped by SIGTERM; {saved}")

    status, _, error = ended(start(training(records.folder, killed.folder), {}))
    assert status == 1
    assert "expected 2 replicas on several nodes, which trained the run's" in error
    end_well(two_workers(training(records.folder, killed.folder)))
    one, two = last_checkpoint(whole.folder), last_checkpoint(killed.folder)
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)
    history = [(run.folder / "history.csv").read_text() for run in (whole, killed)]
    assert history[0] == history[1]
