"""Scores of whole subjects, and what validation makes of them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfadv.evaluation import measures, scoring
from tfadv.evaluation.criterion import MEAN_DICE, Criterion
from tfadv.evaluation.scoring import Segmented
from tfadv.evaluation.stated import Maps
from tfadv.inference.targets import class_targets
from tfrecords.reading.record_set import RecordSet, open_record_set, subject_volumes
from tfrecords.sources.subject import IGNORED


class Halves:
    """A predictor whose label is 1 where the first modality is above 300, otherwise 2."""

    def predict(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"label": tf.cast(tf.where(image[..., 0] > 300, 1, 2), tf.uint8)}


def test_predictions_are_class_indices_in_the_subjects_order(records: RecordSet) -> None:
    found = list(scoring.segment(Halves(), records, ("0", "1")))  # type: ignore[arg-type]
    volumes = list(subject_volumes(records, ("0", "1")))
    assert [s.volume.subject for s in found] == [v.subject for v in volumes]
    for segmented, volume in zip(found, volumes, strict=True):
        expected = np.where(volume.image[..., 0] > 300, 1, 2)
        np.testing.assert_array_equal(segmented.prediction, expected)


def test_scores_are_of_the_whole_working_grid(small_records: tuple[object, Path]) -> None:
    """What lies beyond the body's box counts as found and as background."""
    records = open_record_set(small_records[1])
    origins = {subject.name: subject for subject in records.manifest.subjects}
    volume = next(subject_volumes(records, ("0",)))
    origin = origins[volume.subject]
    everywhere = Segmented(volume, np.ones_like(volume.label))
    chosen = [measures.named("specificity"), measures.named("dice")]
    found = scoring.score(everywhere, origin, records.manifest, chosen)
    assert list(found) == ["label_1", "label_2"]
    assert list(found["label_1"]) == ["specificity", "dice"]
    outside = math.prod(origin.working.shape) - volume.label.size
    assert outside > 0
    wrong = int((volume.label != 1).sum())
    assert found["label_1"]["specificity"] == pytest.approx(outside / (outside + wrong))
    inside = int((volume.label == 1).sum())
    assert found["label_1"]["dice"] == 2 * inside / (inside + volume.label.size)


def test_what_nobody_annotated_is_in_no_score(small_records: tuple[object, Path]) -> None:
    """A block over all classes, predicted in any way; elsewhere the prediction is the reference."""
    records = open_record_set(small_records[1])
    (origin,) = (s for s in records.manifest.subjects if s.name == "s0")
    (volume,) = (v for v in subject_volumes(records, (origin.fold,)) if v.subject == "s0")
    label = volume.label.copy()
    label[:, 5:8] = IGNORED
    volume = replace(volume, label=label)
    for prediction in (np.where(label == IGNORED, value, label) for value in range(3)):
        found = scoring.score(
            Segmented(volume, prediction), origin, records.manifest, measures.MEASURES
        )
        for region, index in (("label_1", 1), ("label_2", 2)):
            scores = found[region]
            shares = ("dice", "sensitivity", "specificity", "precision")
            assert [scores[name] for name in shares] == [1] * 4
            assert scores["hausdorff95_mm"] == scores["average_surface_distance_mm"] == 0
            volume_ml = (label == index).sum() * math.prod(origin.working.spacing_mm) / 1000
            assert scores["volume_ml"] == scores["reference_volume_ml"] == volume_ml
            assert scores["components"] == scores["reference_components"] > 0
    everywhere = Segmented(volume, np.ones_like(label))
    found = scoring.score(everywhere, origin, records.manifest, measures.MEASURES)
    right, wrong = (label == 1).sum(), ((label != 1) & (label != IGNORED)).sum()
    assert found["label_1"]["dice"] == 2 * right / (2 * right + wrong)
    outside = math.prod(origin.working.shape) - label.size
    assert found["label_1"]["specificity"] == pytest.approx(outside / (outside + wrong))


def test_what_is_stated_where_nobody_annotated_does_not_count(records: RecordSet) -> None:
    manifest = records.manifest
    volume = next(subject_volumes(records, ("0",)))
    (origin,) = (s for s in manifest.subjects if s.name == volume.subject)
    truth = volume.label
    label = truth.copy()
    label[:, 5:8] = IGNORED
    volume = replace(volume, label=label)
    probabilities = np.eye(3, dtype=np.float32)[truth]
    probabilities[:, 5:8] = [0, 0, 1]  # Sure and wrong.
    chosen = [measures.named("brier"), measures.named("calibration_error")]

    def scored() -> dict[str, float]:
        maps = Maps(probabilities, class_targets(manifest))
        segmented = Segmented(volume, truth, maps)
        return scoring.score(segmented, origin, manifest, chosen)["label_1"]

    assert scored() == {"brier": 0, "calibration_error": 0}
    probabilities[0, 0] = [0, 1, 0]
    wrong = (label[0, 0] != 1).sum() / (label != IGNORED).sum()
    assert scored() == pytest.approx({"brier": wrong, "calibration_error": wrong})
    nothing = scoring.score(Segmented(volume, truth), origin, manifest, chosen)["label_1"]
    assert np.isnan(list(nothing.values())).all()


def test_validation_averages_subjects_then_regions(records: RecordSet) -> None:
    """Where a measure does not exist, the mean is over the others."""
    nan = math.nan
    subjects = [
        {"label_1": {"sensitivity": a}, "label_2": {"sensitivity": b}}
        for a, b in ((0.2, nan), (0.4, 0.7), (nan, nan))
    ]
    chosen = [measures.named("sensitivity")]
    logs = scoring.validation_logs(subjects, chosen, records.manifest)
    assert list(logs) == ["val_sensitivity", "val_sensitivity_label_1", "val_sensitivity_label_2"]
    assert list(logs.values()) == pytest.approx([0.5, 0.3, 0.7])
    absent = [{region: {"sensitivity": nan} for region in ("label_1", "label_2")}]
    assert np.isnan(list(scoring.validation_logs(absent, chosen, records.manifest).values())).all()


def test_validation_measures_dice_and_the_criterion() -> None:
    assert [m.name for m in scoring.validated(MEAN_DICE)] == ["dice"]
    found = scoring.validated(Criterion("sensitivity", "mean"))
    assert [m.name for m in found] == ["dice", "sensitivity"]


def test_the_best_the_median_and_the_worst_are_different_subjects() -> None:
    dice = {"a": 0.5, "b": 0.9, "c": 0.1, "d": 0.2, "e": 0.6}
    assert scoring.best_median_worst(dice) == {"best": "b", "worst": "c", "median": "a"}
    assert scoring.best_median_worst({"a": 0.5, "b": 0.9}) == {"best": "b", "worst": "a"}
    assert scoring.best_median_worst({"a": 0.5}) == {"best": "a"}


def test_a_subjects_slice_shows_the_same_as_the_whole(records: RecordSet) -> None:
    segmented = next(scoring.segment(Halves(), records, ("0",)))  # type: ignore[arg-type]
    alone = scoring.shown_slice(segmented)
    assert alone.volume.label.shape == (1, *segmented.volume.label.shape[1:])
    assert np.shares_memory(alone.volume.image, segmented.volume.image) is False
    assert scoring.picture_of(alone, records) == scoring.picture_of(segmented, records)
    (most,) = {alone.volume.position[0]} - {segmented.volume.position[0]}
    z = most - segmented.volume.position[0]
    np.testing.assert_array_equal(alone.prediction[0], segmented.prediction[z])
