"""Two workers over loopback equal one process of two replicas, bit for bit, for every method."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.tfadv.checkpoints import last_checkpoint
from tests.tfadv.methods.conforming import slow_except, tiny_values
from tests.tfadv.workers import ROOT, end_well, two_workers
from tfadv.methods.method import Method
from tfadv.run.run import Run
from tfadv.run.work_dir import WorkDir
from tfadv.training.train import make_deterministic, train
from tfrecords.reading.record_set import RecordSet


# It has two networks, three optimizers, dropout and shared moments. And its patches' voxels are no
# power of two: a mean that is computed in another way is rounded otherwise.
@slow_except((), standing={"moeskops_dilated_adversarial"})
def test_two_workers_do_what_one_process_with_two_replicas_does(
    method: type[Method],
    records_of: Callable[[str], RecordSet],
    mirrored: tf.distribute.Strategy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each prepares its own examples; what is compared is networks, optimizers and all logs."""
    records = records_of(method.view.kind)
    one, two = (WorkDir(tmp_path / kind) for kind in ("one", "two"))
    tiny = [f"{name}={value}" for name, value in tiny_values(method).items()]
    program = [ROOT / "launch" / "train.py", "--preset=small", "--deterministic"]
    which = ["--method", method.name, "--records", records.folder, "--work_dir", two.folder]
    end_well(two_workers([*program, *which, *(f"--hp.{value}" for value in tiny)]))

    monkeypatch.setattr("tfadv.training.train._strategy", lambda: mirrored)
    make_deterministic()
    train(one, Run.new(method.configure("small", tiny), records))

    assert one.settings() == two.settings()
    expected, found = last_checkpoint(one.folder), last_checkpoint(two.folder)
    assert expected.keys() == found.keys()
    for path, values in expected.items():
        np.testing.assert_array_equal(found[path], values, err_msg=path)
    assert two.progress() == replace(one.progress(), replicas=2)
