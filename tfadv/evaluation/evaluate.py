"""Scoring a trained run on whole subjects."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from tfadv.evaluation import boxplots, measures
from tfadv.evaluation.masks import count_components
from tfadv.evaluation.scoring import (
    Scores,
    mean_dice,
    picture_of,
    score,
    segment,
    segment_image,
    whole,
)
from tfadv.evaluation.served import Served
from tfadv.inference.predictor import Predictor
from tfadv.run.work_dir import WorkDir
from tfrecords.files import write_file
from tfrecords.geometry.nifti import write_label
from tfrecords.geometry.resample import to_source
from tfrecords.reading.record_set import RecordSet, subject_volumes
from tfrecords.records.manifest import Manifest, SubjectRecord

Row = dict[str, str | float]


@dataclass(frozen=True)
class Tables:
    """What was measured.

    Attributes:
        regions: `metrics.csv`, a row per subject and class or region.
        subjects: `subjects.csv`, a row per subject: mean_dice over `averaged_regions`; components
            and reference_components, of all classes and the background, on the working grid.
    """

    regions: pd.DataFrame
    subjects: pd.DataFrame


def evaluate(
    work_dir: WorkDir,
    predictor: Predictor | Served,
    records: RecordSet,
    folds: tuple[str, ...],
    *,
    save_predictions: bool = False,
    empty_mm: float | None = None,
) -> Tables:
    """Scores every subject of the folds; writes the tables, their summary and pictures.

    Measured on the working grid: the source's own voxels, unless preprocessing resampled or cropped
    them.

    Args:
        save_predictions: also writes label maps onto the sources' grids.
        empty_mm: see `masks.Masks`.
    """
    manifest = records.manifest
    origins = {subject.name: subject for subject in manifest.subjects}
    total = sum(subject.fold in folds for subject in manifest.subjects)
    rows: list[Row] = []
    subject_rows: list[Row] = []
    with_maps = measures.need_stated(measures.MEASURES)
    segmented_subjects = segment(predictor, records, folds, with_maps=with_maps)
    for segmented in tqdm(segmented_subjects, "Evaluating", total=total, dynamic_ncols=True):
        volume = segmented.volume
        origin = origins[volume.subject]
        scores = score(segmented, origin, manifest, measures.MEASURES, empty_mm)
        rows += [{**_named(origin), "region": region, **of} for region, of in scores.items()]
        reference = whole(volume.label, volume, origin)
        compared = whole(segmented.compared, volume, origin)
        subject_rows.append(_subject_row(reference, compared, scores, origin, manifest))
        if save_predictions:
            prediction = whole(segmented.prediction, volume, origin)
            path = work_dir.predictions / f"{origin.name}.nii.gz"
            write_label(path, _on_source(prediction, origin, manifest), origin.source)
    tables = Tables(pd.DataFrame(rows), pd.DataFrame(subject_rows))
    work_dir.folder.mkdir(parents=True, exist_ok=True)
    write(work_dir, tables, describe(tables))
    write_file(work_dir.picture, _median_picture(tables, predictor, records, folds))
    return tables


def write(work_dir: WorkDir, tables: Tables, summary: str) -> None:
    """Writes metrics.csv, subjects.csv, summary.txt and boxplots.png."""
    write_file(work_dir.metrics, tables.regions.to_csv(index=False).encode())
    write_file(work_dir.subjects, tables.subjects.to_csv(index=False).encode())
    write_file(work_dir.summary, summary.encode())
    write_file(work_dir.boxplots, _boxplots(tables))


def describe(tables: Tables) -> str:
    """Mean and standard deviation over subjects: a row per measure, a column per region."""
    grouped = tables.regions.groupby("region", sort=False)[measures.names()]
    mean, std = grouped.mean(), grouped.std(ddof=0)
    cells = mean.map("{:.3f}".format) + " ± " + std.map("{:.3f}".format)
    subjects = tables.subjects
    dice, components, in_reference = (
        f"{subjects[name].mean():.{digits}f} ± {subjects[name].std(ddof=0):.{digits}f}"
        for name, digits in (("mean_dice", 3), ("components", 1), ("reference_components", 1))
    )
    return (
        f"{cells.T.to_string()}\n"
        f"mean Dice: {dice}\n"
        f"components of all classes and the background: {components}; reference: {in_reference}\n"
        f"mean ± standard deviation of {len(subjects)} subjects\n"
    )


def _subject_row(
    reference: np.ndarray,
    prediction: np.ndarray,
    scores: Scores,
    origin: SubjectRecord,
    manifest: Manifest,
) -> Row:
    return {
        **_named(origin),
        "mean_dice": mean_dice(scores, manifest),
        "components": count_components(prediction),
        "reference_components": count_components(reference),
    }


def _named(origin: SubjectRecord) -> Row:
    return {"subject": origin.name, "group": origin.group, "fold": origin.fold}


def _on_source(prediction: np.ndarray, origin: SubjectRecord, manifest: Manifest) -> np.ndarray:
    """A whole prediction in the dataset's label values on the source's grid [X, Y, Z]."""
    values = np.array([c.labels[0] for c in manifest.classes], np.uint8)
    return to_source(values[prediction], origin.working, origin.source)


def _boxplots(tables: Tables) -> bytes:
    by_region = tables.regions.groupby("region", sort=False)
    scores = {
        measure: {str(region): rows[measure.name].to_numpy() for region, rows in by_region}
        for measure in measures.panels()
    }
    return boxplots.of_one_run(scores)


def _median_picture(
    tables: Tables, predictor: Predictor | Served, records: RecordSet, folds: tuple[str, ...]
) -> bytes:
    """The subject whose mean Dice is the median: neither the best nor the worst."""
    by_subject = tables.subjects.set_index("subject")["mean_dice"].sort_values()
    name = by_subject.index[len(by_subject) // 2]
    volume = next(v for v in subject_volumes(records, folds) if v.subject == name)
    chosen = segment_image(predictor, volume.image, volume, records.manifest)
    return picture_of(chosen, records, f"{name}, mean Dice {by_subject[name]:.2f} (the median)")
