"""Segmenting whole held-out volumes, as a server would, and scoring them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from tfadv.evaluation import figures, measures
from tfadv.evaluation.criterion import Criterion, log_key
from tfadv.evaluation.masks import where_annotated
from tfadv.evaluation.measures import Measure
from tfadv.evaluation.served import Served
from tfadv.evaluation.stated import Maps, Stated
from tfadv.inference.predictor import Predictor
from tfadv.inference.targets import averaged_regions, scored_regions
from tfrecords.names import MEAN
from tfrecords.reading.record_set import RecordSet, SubjectVolume, subject_volumes
from tfrecords.records.manifest import Manifest, SubjectRecord
from tfrecords.sources.subject import IGNORED, class_indices

Scores = dict[str, dict[str, float]]  # By region and by the measure's name.


@dataclass(frozen=True)
class Segmented:
    """A subject with its prediction, as class indices [Z, Y, X] of the body's box.

    Attributes:
        maps: its probabilities, where they were asked for.
    """

    volume: SubjectVolume
    prediction: np.ndarray
    maps: Maps | None = None

    @property
    def compared(self) -> np.ndarray:
        """The prediction as it is measured and shown: IGNORED where nobody annotated."""
        return where_annotated(self.prediction, self.volume.label)

    def stated(self, members: tuple[int, ...]) -> Stated | None:
        """What the model states of a class or region, by its class indices."""
        probability = self.maps.of(members) if self.maps else None
        if probability is None:
            return None
        annotated = self.volume.label != IGNORED
        return Stated(probability[annotated], np.isin(self.volume.label[annotated], members))


def segment(
    predictor: Predictor | Served,
    records: RecordSet,
    folds: tuple[str, ...],
    *,
    with_maps: bool = False,
) -> Iterator[Segmented]:
    """Every subject of the given folds, one at a time."""
    for volume in subject_volumes(records, folds):
        yield segment_image(predictor, volume.image, volume, records.manifest, with_maps=with_maps)


def segment_image(
    predictor: Predictor | Served,
    image: np.ndarray,
    volume: SubjectVolume,
    manifest: Manifest,
    *,
    with_maps: bool = False,
) -> Segmented:
    """A subject with the prediction of an image [Z, Y, X, C], its own or one made of it.

    Args:
        with_maps: keep its probabilities, which take more memory than all else.
    """
    answer = predictor.predict(tf.constant(image.astype(np.float32)))
    maps = Maps(answer["probabilities"].numpy(), predictor.targets) if with_maps else None
    return Segmented(volume, class_indices(answer["label"].numpy(), manifest.classes), maps)


def whole(labels: np.ndarray, volume: SubjectVolume, origin: SubjectRecord) -> np.ndarray:
    """A body's labels in the whole working volume, uint8 [Z, Y, X]."""
    filled = np.zeros(origin.working.shape[::-1], np.uint8)
    box = tuple(
        slice(start, start + extent)
        for start, extent in zip(volume.position, labels.shape, strict=True)
    )
    filled[box] = labels
    return filled


def score(
    segmented: Segmented,
    origin: SubjectRecord,
    manifest: Manifest,
    chosen: Sequence[Measure],
    empty_mm: float | None = None,
) -> Scores:
    """Measures of every class and region of a subject, on the whole working grid.

    Args:
        empty_mm: see `Masks`.
    """
    reference = whole(segmented.volume.label, segmented.volume, origin)
    prediction = whole(segmented.compared, segmented.volume, origin)
    ignored = int(np.count_nonzero(reference == IGNORED))
    x_mm, y_mm, z_mm = origin.working.spacing_mm
    stated = segmented.stated if measures.need_stated(chosen) else lambda _: None
    return {
        region: measures.region_metrics(
            np.isin(reference, members),
            np.isin(prediction, members),
            (z_mm, y_mm, x_mm),
            empty_mm=empty_mm,
            ignored=ignored,
            stated=stated(members),
            measures=chosen,
        )
        for region, members in scored_regions(manifest).items()
    }


def validated(criterion: Criterion) -> list[Measure]:
    """The measures of every epoch: those flagged in the table, and the criterion's."""
    return [m for m in measures.MEASURES if m.every_epoch or m.name == criterion.measure]


def validation_logs(
    subjects: Sequence[Scores], chosen: Sequence[Measure], manifest: Manifest
) -> dict[str, float]:
    """Means over subjects: of each measure the mean over `averaged_regions`, then every region.

    Where a measure does not exist for a subject or region, the mean is over the others.
    """
    logs = {}
    for measure in chosen:
        means = {
            region: _mean([scores[region][measure.name] for scores in subjects])
            for region in scored_regions(manifest)
        }
        averaged = _mean([means[region] for region in averaged_regions(manifest)])
        logs[log_key(measure.name, MEAN)] = averaged
        logs |= {log_key(measure.name, region): value for region, value in means.items()}
    return logs


def mean_dice(scores: Scores, manifest: Manifest) -> float:
    """Over `averaged_regions`."""
    return float(np.mean([scores[region]["dice"] for region in averaged_regions(manifest)]))


def best_median_worst(scores: Mapping[str, float]) -> dict[str, str]:
    """Subjects by the words "best", "median" and "worst"; of one or two subjects, fewer words."""
    ordered = sorted(scores, key=lambda name: (scores[name], name))
    words = {"best": ordered[-1], "worst": ordered[0], "median": ordered[len(ordered) // 2]}
    different = {name: word for word, name in reversed(words.items())}
    return {word: name for word, name in words.items() if different[name] == word}


def shown_slice(segmented: Segmented) -> Segmented:
    """The axial slice of a subject that pictures show, alone: those of many fit into memory."""
    volume = segmented.volume
    z = figures.most_foreground(volume.label)
    image, label, prediction = (
        array[z : z + 1].copy() for array in (volume.image, volume.label, segmented.prediction)
    )
    first_z, y, x = volume.position
    place = (first_z + z, y, x)
    return Segmented(replace(volume, image=image, label=label, position=place), prediction)


def picture_of(segmented: Segmented, records: RecordSet, title: str = "") -> bytes:
    """A PNG of image, reference and prediction."""
    manifest = records.manifest
    volume = segmented.volume
    return figures.comparison(
        volume.image,
        volume.label,
        segmented.compared,
        manifest.modalities,
        [c.name for c in manifest.classes],
        title or volume.subject,
    )


def _mean(values: Sequence[float]) -> float:
    """Of the numbers among them; nan where there is none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan
