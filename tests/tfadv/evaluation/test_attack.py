"""The worst perturbation: of a linear segmentor it is known."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadv.evaluation.attack import Attacked, Subject, soft_dice_loss, worst
from tfadv.evaluation.norms import NORMS, Largest, Norm, RootMeanSquare
from tfadv.inference.members import Member
from tfadv.inference.predictor import Predictor
from tfadv.inference.targets import class_targets, region_targets
from tfadv.inference.tiling import SlidingWindow
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir
from tfrecords.geometry.overlap import dice
from tfrecords.reading.record_set import SubjectVolume, subject_volumes
from tfrecords.sources.subject import IGNORED, LabelClass

CLASSES = (LabelClass("background", (0,)), LabelClass("lesion", (4,)))
SLOPES = np.float32([[0.0, 2.0], [0.0, -1.0]])  # [C, K]: class 1 where 2 a - b > 0.
STRENGTHS = (0.1, 0.3)


def attacked(regions: bool = False) -> Attacked:
    """A linear segmentor of two modalities: class 1 where 2 a - b is positive."""
    image = keras.Input((None, None, 2))
    slopes = SLOPES[:, 1:] if regions else SLOPES
    layer = keras.layers.Conv2D(slopes.shape[1], 1, use_bias=False)
    segmentor = keras.Model(image, layer(image))
    layer.kernel.assign(slopes[None, None])
    manifest: Any = SimpleNamespace(
        image_dtype="float16", crop=None, modalities=("a", "b"), classes=CLASSES, regions={}
    )
    targets = region_targets(manifest) if regions else class_targets(manifest)
    members = [Member(segmentor, SlidingWindow((8, 8)))]
    return Attacked(Predictor(members, manifest, targets, "z_score"), manifest)


def volume(seed: int = 0) -> SubjectVolume:
    """Standard normal values in half of the voxels, zeros elsewhere; the truth is what it finds."""
    random = np.random.default_rng(seed)
    image = random.normal(size=(4, 10, 12, 2)) * (random.random((4, 10, 12, 1)) < 0.5)
    image[image != 0] += 5  # No value is near zero, which is background.
    return SubjectVolume("x", image.astype(np.float16), np.zeros((4, 10, 12), np.uint8), (0, 0, 0))


def margins(model: Attacked, subject: SubjectVolume) -> np.ndarray:
    """2 a - b of each voxel [Z, Y, X]."""
    return model.normalised(subject.image).numpy() @ (SLOPES[:, 1] - SLOPES[:, 0])


def with_truth(subject: SubjectVolume, label: np.ndarray) -> SubjectVolume:
    return replace(subject, label=label.astype(np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("regions", [False, True])
def test_the_worst_of_a_largest_value_flips_every_voxel_that_it_can(regions: bool) -> None:
    """Of a voxel's margin 2 a - b it takes (2 + 1) times the strength, towards the other class."""
    model = attacked(regions)
    margin = margins(model, volume())
    subject = with_truth(volume(), margin > 0)
    found = dict(worst(model, subject, Largest(STRENGTHS, ""), 5))
    for strength in STRENGTHS:
        flipped = (np.abs(margin) < 3 * strength * 0.999) & (margin != 0)
        assert flipped.sum() > 5
        expected = (margin > 0) ^ flipped
        assert (found[strength] == expected).mean() > 0.995
        sure = np.abs(margin) > 3 * strength * 1.001
        np.testing.assert_array_equal(found[strength][sure], (margin > 0)[sure])


@pytest.mark.slow
def test_the_worst_of_a_root_mean_square_gathers_where_margins_are_small() -> None:
    """Flipping a voxel takes margin² / 5 of the sum of squares; no more can be flipped than the
    budget buys, the cheapest first."""
    model = attacked()
    margin = margins(model, volume())
    subject = with_truth(volume(), margin > 0)
    budgets = {s: s**2 * np.count_nonzero(subject.image) for s in STRENGTHS}
    prices = np.sort(margin[margin != 0] ** 2 / 5)
    for strength, label in worst(model, subject, RootMeanSquare(STRENGTHS, ""), 10):
        most = np.searchsorted(np.cumsum(prices), budgets[strength])
        flipped = int((label != (margin > 0)).sum())
        assert 0.4 * most < flipped <= most  # By Dice, for which not all voxels weigh alike.
        # Spread evenly, as the largest value of that size would be, it flips fewer.
        assert flipped > 1.2 * (np.abs(margin[margin != 0]) < 3 * strength).sum()


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS.values(), ids=list(NORMS))
def test_on_a_trained_network_it_is_no_better_than_what_is_random_and_more_is_worse(
    norm: Norm, run: WorkDir
) -> None:
    trained, _, predictor = load_run(run)
    model = Attacked(predictor, trained.manifest)
    held_out = next(subject_volumes(trained.records, trained.settings.test_folds))
    subject = Subject(model, held_out)
    clean = subject.label(np.zeros(subject.unit.size))
    values = {v: n for n, v in enumerate(predictor.values)}
    predicted = predictor.predict(tf.constant(held_out.image.astype(np.float32)))["label"].numpy()
    np.testing.assert_array_equal(clean, np.vectorize(values.get)(predicted))
    scores = [subject.dice(clean)]
    assert scores[0] == pytest.approx(
        np.mean([dice(held_out.label == n, clean == n) for n in (1, 2)])
    )
    for strength, label in worst(model, held_out, norm, 3):
        scores.append(subject.dice(label))
        for seed in range(3):
            drawn = strength * norm.drawn(np.random.default_rng(seed), subject.unit.size)
            # Three steps of the smallest size may miss a few voxels that one draw happens to hit.
            assert scores[-1] <= subject.dice(subject.label(drawn)) + 0.02
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < scores[0]


def test_zeros_stay_and_units_are_standard_deviations() -> None:
    image = volume().image.copy()
    image[..., 1] *= 3
    subject = Subject(attacked(), replace(volume(), image=image))
    changed = subject.perturbed(np.ones(subject.unit.size)).numpy() - subject.image
    np.testing.assert_array_equal(changed[image == 0], 0)
    np.testing.assert_allclose(changed[image != 0], 1, atol=1e-2)  # As z-scores have it.


@pytest.mark.slow
def test_what_nobody_annotated_asks_for_nothing() -> None:
    model = attacked()
    margin = margins(model, volume())
    label = (margin > 0).astype(np.uint8)
    label[:, :5] = IGNORED
    subject = Subject(model, with_truth(volume(), label))
    _, slope = subject.look(np.zeros(subject.unit.size))
    places = np.argwhere(subject.body)
    assert not slope[places[:, 1] < 5].any()
    assert slope[places[:, 1] >= 5].any()
    wrong = np.where(label == IGNORED, 1, label)
    assert subject.dice(wrong) == subject.dice(np.where(label == IGNORED, 0, label)) == 1


def test_soft_dice_by_hand() -> None:
    """Maps of 0.5 over a truth of 2 of 4 voxels, and nothing where nothing is."""
    maps = tf.constant([0.5, 0.0] * 4, shape=[1, 1, 4, 2])
    truth = tf.constant([1.0, 0, 1, 0, 0, 0, 0, 0], shape=[1, 1, 4, 2])
    found = soft_dice_loss(maps, truth, tf.ones([1, 1, 4, 1]))
    assert float(found) == pytest.approx(1 - ((2 * 1 + 1) / (2 + 2 + 1) + 1) / 2)
