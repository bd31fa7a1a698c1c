"""Scoring a trained run on whole subjects."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from tfadv.inference import Predictor
from tfadv.metrics import METRICS, region_metrics
from tfadv.validation import Segmented, picture_of, scored_regions, segment
from tfadv.work_dir import WorkDir
from tfrecords.input import RecordSet
from tfrecords.manifest import SubjectRecord
from tfrecords.volumes import to_source, write_label

Row = dict[str, str | float]


def evaluate(
    work_dir: WorkDir,
    predictor: Predictor,
    records: RecordSet,
    folds: tuple[str, ...],
    *,
    save_predictions: bool = False,
) -> pd.DataFrame:
    """One row per subject and class or region; written to `metrics.csv`, with a picture beside it.

    Measured on the working grid: the source's own voxels, unless preprocessing resampled them.

    Args:
        save_predictions: also writes label maps onto the sources' grids.
    """
    origins = {subject.name: subject for subject in records.manifest.subjects}
    total = sum(subject.fold in folds for subject in records.manifest.subjects)
    rows: list[Row] = []
    segmented_subjects = segment(predictor, records, folds)
    for segmented in tqdm(segmented_subjects, "Evaluating", total=total, dynamic_ncols=True):
        origin = origins[segmented.volume.subject]
        rows += _rows(segmented, origin, records)
        if save_predictions:
            path = work_dir.predictions / f"{origin.name}.nii.gz"
            write_label(path, _on_source(segmented, origin, records), origin.source)
    table = pd.DataFrame(rows)
    _write(work_dir.metrics, table.to_csv(index=False).encode())
    _write(work_dir.summary, describe(table).encode())
    _write(work_dir.picture, _median_picture(table, predictor, records, folds))
    return table


def describe(table: pd.DataFrame) -> str:
    """Mean and standard deviation over subjects: a row per measure, a column per region."""
    grouped = table.groupby("region", sort=False)[list(METRICS)]
    mean, std = grouped.mean(), grouped.std(ddof=0)
    cells = mean.map("{:.3f}".format) + " ± " + std.map("{:.3f}".format)
    subjects = table["subject"].nunique()
    return f"{cells.T.to_string()}\nmean ± standard deviation of {subjects} subjects\n"


def _rows(segmented: Segmented, origin: SubjectRecord, records: RecordSet) -> Iterator[Row]:
    reference = _whole(segmented.volume.label, segmented, origin)
    prediction = _whole(segmented.prediction, segmented, origin)
    x_mm, y_mm, z_mm = origin.working.spacing_mm
    for name, members in scored_regions(records.manifest).items():
        measured = region_metrics(
            np.isin(reference, members), np.isin(prediction, members), (z_mm, y_mm, x_mm)
        )
        yield {
            "subject": origin.name,
            "group": origin.group,
            "fold": origin.fold,
            "region": name,
            **measured,
        }


def _whole(labels: np.ndarray, segmented: Segmented, origin: SubjectRecord) -> np.ndarray:
    """A body's labels in the whole working volume [Z, Y, X]."""
    whole = np.zeros(origin.working.shape[::-1], np.uint8)
    box = tuple(
        slice(start, start + extent)
        for start, extent in zip(segmented.volume.position, labels.shape, strict=True)
    )
    whole[box] = labels
    return whole


def _on_source(segmented: Segmented, origin: SubjectRecord, records: RecordSet) -> np.ndarray:
    """The prediction in the dataset's label values on the source's grid [X, Y, Z]."""
    values = np.array([c.labels[0] for c in records.manifest.classes], np.uint8)
    whole = values[_whole(segmented.prediction, segmented, origin)]
    return to_source(whole, origin.working, origin.source)


def _median_picture(
    table: pd.DataFrame, predictor: Predictor, records: RecordSet, folds: tuple[str, ...]
) -> bytes:
    """The subject whose mean Dice is the median: neither the best nor the worst."""
    by_subject = table.groupby("subject")["dice"].mean().sort_values()
    name = by_subject.index[len(by_subject) // 2]
    chosen = next(s for s in segment(predictor, records, folds) if s.volume.subject == name)
    return picture_of(chosen, records, f"{name}, mean Dice {by_subject[name]:.2f} (the median)")


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
