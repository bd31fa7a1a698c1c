"""Segmenting whole held-out volumes, as a server would, and scoring them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfadv.evaluation import figures
from tfadv.inference.predictor import Predictor
from tfrecords.geometry.overlap import dice
from tfrecords.reading.record_set import RecordSet, SubjectVolume, subject_volumes


@dataclass(frozen=True)
class Segmented:
    """A subject with its prediction, as class indices [Z, Y, X] of the body's box."""

    volume: SubjectVolume
    prediction: np.ndarray


def segment(
    predictor: Predictor, records: RecordSet, folds: tuple[str, ...]
) -> Iterator[Segmented]:
    """Every subject of the given folds, one at a time."""
    index_of = np.zeros(256, np.uint8)
    for index, label_class in enumerate(records.manifest.classes):
        index_of[label_class.labels[0]] = index
    for volume in subject_volumes(records, folds):
        label = predictor.predict(tf.constant(volume.image.astype(np.float32)))["label"]
        yield Segmented(volume, index_of[label.numpy()])


def dice_by_region(segmented: Segmented, regions: dict[str, tuple[int, ...]]) -> dict[str, float]:
    return {
        name: dice(np.isin(segmented.volume.label, members), np.isin(segmented.prediction, members))
        for name, members in regions.items()
    }


def picture_of(segmented: Segmented, records: RecordSet, title: str = "") -> bytes:
    """A PNG of image, reference and prediction."""
    manifest = records.manifest
    volume = segmented.volume
    return figures.comparison(
        volume.image,
        volume.label,
        segmented.prediction,
        manifest.modalities,
        [c.name for c in manifest.classes],
        title or volume.subject,
    )
