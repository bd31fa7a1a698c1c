"""What a method costs: that the figures are of what they say."""

import time

import pytest

from tfadv import methods
from tfadv.run.run import Run
from tfadv.training import cost
from tfadv.training.cost import Cost
from tfrecords.reading.record_set import RecordSet


@pytest.mark.slow
def test_costs_of_a_tiny_method(records: RecordSet) -> None:
    tiny = [
        "width=2",
        "discriminator_width=2",
        "convolutions=1",
        "batch_size=2",
        "steps_per_epoch=3",
    ]
    run = Run.new(methods.get("kohl_hybrid").configure("small", tiny), records)
    inference, shape = cost.inference_cost(run, 2)
    step = cost.step_cost(run, 2)
    assert shape == (6, 30, 32)
    assert 0 < inference.seconds < 60
    assert 0 < step.seconds < 60
    # A process that has imported TensorFlow holds more than 200 MB; a peak never falls.
    assert 2e8 < inference.peak_bytes <= step.peak_bytes < 3e10


def test_time_is_that_of_the_action() -> None:
    assert cost._timed(lambda: time.sleep(0.2)) == pytest.approx(0.2, abs=0.15)


def test_costs_are_told_in_seconds_and_gigabytes() -> None:
    assert str(Cost(1.234, 5_678_000_000)) == "1.23 s, peak memory 5.68 GB"
