"""What a training says before its first step."""

import logging
from types import SimpleNamespace

import pytest

from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.run.run import Run
from tfadv.training.announcements import announce, tell_of_parts
from tfadv.training.microscope import validation_batches
from tfrecords.reading.record_set import RecordSet
from tfrecords.records.manifest import Shard


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("segan_unet_softmax", "segmentor: its batch normalisation sees 2 examples at once"),
        ("kohl_cross_entropy", ""),  # It has none.
    ],
)
def test_batch_normalisation_that_sees_parts_is_told_of(
    name: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    values = ["width=2", "batch_size=4", "accumulation=2", "precision=float32"]
    method = methods.get(name).configure("small", values)
    tell_of_parts(SimpleNamespace(method=method), AdversarialModel(method.players(1, ("a", "b"))))
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)


def test_what_is_favoured_is_told_of_training_alone(
    records: RecordSet, caplog: pytest.LogCaptureFixture
) -> None:
    """The microscope draws from the validation folds, which may hold none of it."""
    values = ["precision=float32", "batch_size=2"]
    run = Run.new(methods.get("kohl_cross_entropy").configure("small", values), records)
    with caplog.at_level(logging.INFO, logger="absl"):
        announce(run, run.build_model())
        validation_batches(run)
    (told,) = [line for line in caplog.messages if line.startswith("favoured: ")]
    favoured = sum(shard.examples for shard in training_slices(run) if shard.group == "low")
    whole = sum(shard.examples for shard in training_slices(run))
    assert told == f"favoured: {favoured} of {whole} examples are of low"


def training_slices(run: Run) -> list[Shard]:
    return list(run.manifest.select("slices", run.settings.training_folds))
