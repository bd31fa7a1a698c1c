"""What happens around the steps: the epoch that is kept, and the rates."""

import logging
import time
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv import methods
from tfadv.adversarial import AdversarialModel
from tfadv.evaluation.criterion import MEAN_DICE, Criterion
from tfadv.run.work_dir import Progress
from tfadv.training.callbacks import (
    Checkpoints,
    EpochLine,
    LearningRates,
    RandomStates,
    set_random_states,
)


@pytest.mark.parametrize(
    ("criterion", "best", "value"),
    [
        (Criterion("dice", "mean"), 3, 0.5),
        (Criterion("dice", "tumour"), 1, 0.3),
        (Criterion("hausdorff95_mm", "tumour"), 2, 1.0),
    ],
)
def test_the_chosen_criterion_selects_the_epoch(
    criterion: Criterion, best: int, value: float
) -> None:
    saved: Any = SimpleNamespace(save=lambda model, progress: None)
    progress = Progress()
    callback = Checkpoints(saved, progress, criterion)
    callback.set_model(keras.Sequential())
    for epoch, (mean, tumour, mm) in enumerate([(0.4, 0.3, 3), (0.35, 0.2, 1), (0.5, 0.1, 2)]):
        logs = {
            "val_dice": mean,
            "val_dice_tumour": tumour,
            "val_hausdorff95_mm_tumour": float(mm),
        }
        callback.on_epoch_end(epoch, logs)
    assert (progress.best_epoch, progress.best) == (best, value)


def test_an_epoch_has_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process goes on with the second one."""
    saved: Any = SimpleNamespace(save=lambda model, progress: None)
    progress = Progress()
    for epoch, (start_s, end_s) in enumerate([(10.0, 13.5), (2.0, 4.0)]):
        callback = Checkpoints(saved, progress, MEAN_DICE)
        callback.set_model(keras.Sequential())
        monkeypatch.setattr(time, "perf_counter", iter([start_s, end_s]).__next__)
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"val_dice": 0.5})
    assert progress.seconds == {1: 3.5, 2: 2.0}


def test_every_optimizer_has_its_rate_in_the_logs() -> None:
    """Of critics, too, whose names are the regions'."""
    method = methods.get("segan_s3_3c").configure("small", ["width=2", "critic_width=2"])
    model = AdversarialModel(method.build(1, ("WT", "TC")))
    callback = LearningRates(method)
    callback.set_model(model)
    logs: dict[str, float] = {}
    callback.on_epoch_end(0, logs)
    assert logs == {
        "segmentor_learning_rate": 1e-4,
        "critic_WT_learning_rate": 1e-4,
        "critic_TC_learning_rate": 1e-4,
    }


def test_a_log_has_a_line_for_each_epoch(caplog: pytest.LogCaptureFixture) -> None:
    """Of what chooses it and of what players descend, and of nothing else that is logged."""
    method = methods.get("kohl_hybrid").configure("small", ["width=2", "discriminator_width=2"])
    progress = Progress(1, 1, 0.75, [{"epoch": 1}], seconds={2: 12.7})
    callback = EpochLine(progress, MEAN_DICE, epochs=8)
    callback.set_model(AdversarialModel(method.build(1, ("a", "b"))))
    losses = {"discriminator_loss": 1.25, "segmentor_cross_entropy": 0.5}
    losses["segmentor_adversarial"] = 0.69314
    with caplog.at_level(logging.INFO, logger="absl"):
        callback.on_epoch_end(1, losses | {"val_dice": 0.5, "discriminator_true": 0.9})
    assert caplog.messages == [
        "epoch 2 of 8, 13 s: validation Dice: mean 0.500 (best 0.750 in epoch 1); "
        "discriminator_loss 1.25, segmentor_adversarial 0.6931, segmentor_cross_entropy 0.5"
    ]


def test_every_replica_drops_other_places(mirrored: tf.distribute.Strategy) -> None:
    """The first one those of a single device; an epoch begun again the same ones."""
    alone = keras.Sequential([keras.layers.Dropout(0.5)])
    set_random_states([alone], 7, 2)
    with mirrored.scope():
        network = keras.Sequential([keras.layers.Dropout(0.5)])
    callback = RandomStates(7)
    callback.set_model(
        SimpleNamespace(network_list=[network], distribute_strategy=mirrored)  # type: ignore[arg-type]
    )
    ones = tf.ones([4, 50])
    step = tf.function(lambda: mirrored.run(lambda: network(ones, training=True)))
    seen = []
    for _ in range(2):
        callback.on_epoch_begin(2)
        seen.append([mirrored.experimental_local_results(step()) for _ in range(2)])
    first, again = np.array(seen)
    np.testing.assert_array_equal(first, again)
    for expected in first:
        np.testing.assert_array_equal(expected[0], alone(ones, training=True))
        assert 0.3 < np.mean(expected[0] != expected[1]) < 0.7
