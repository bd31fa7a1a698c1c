"""How well a model's word on its label maps (`inference.quality`) tells their Dice.

Measured on subjects as they are and degraded, so that there are bad label maps among good ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import tensorflow as tf
from scipy import stats
from tqdm import tqdm

from tfadv.evaluation import measures, quality_figures
from tfadv.evaluation.degradations import DEGRADATIONS, variants
from tfadv.evaluation.scoring import Segmented, score
from tfadv.evaluation.served import Served
from tfadv.inference.predictor import Predictor
from tfadv.inference.quality import LOW_IS_GOOD
from tfadv.inference.targets import averaged_regions
from tfrecords.files import write_file
from tfrecords.reading.record_set import RecordSet, SubjectVolume, subject_volumes
from tfrecords.records.manifest import SubjectRecord
from tfrecords.sources.subject import class_indices

DICE: Final = "mean_dice"
IMAGE: Final = ["subject", "degradation", "strength"]
DRAWS = 1000  # Of subjects, for intervals.


@dataclass(frozen=True)
class Measured:
    """What a model said, and how good its label maps were.

    Attributes:
        table: `quality.csv`, a row per subject and degradation: IMAGE, mean_dice, and what the
            model said, by name.
        names: of what it said.
    """

    table: pd.DataFrame
    names: tuple[str, ...]


def measure(
    predictor: Predictor | Served,
    records: RecordSet,
    folds: Sequence[str],
    subjects: frozenset[str] | None = None,
) -> Measured:
    """Segments subjects of the folds, as they are and degraded.

    Args:
        subjects: names of those to segment; all if not given.
    """
    origins = {one.name: one for one in records.manifest.subjects if one.fold in folds}
    if subjects is not None:
        origins = {name: origins[name] for name in subjects}
    images = 1 + sum(len(degradation.strengths) for degradation in DEGRADATIONS.values())
    rows = []
    with tqdm(total=images * len(origins), desc="Segmenting", dynamic_ncols=True) as bar:
        for volume in subject_volumes(records, folds):
            if (origin := origins.get(volume.subject)) is None:
                continue
            x_mm, y_mm, z_mm = origin.working.spacing_mm
            for degradation, strength, image in variants(volume, (z_mm, y_mm, x_mm)):
                found = _of_image(predictor, image, volume, origin, records)
                rows.append((volume.subject, degradation, strength, *found))
                bar.update()
    columns = [*IMAGE, DICE, *predictor.quality]
    return Measured(pd.DataFrame(rows, columns=columns), predictor.quality)


def _of_image(
    predictor: Predictor | Served,
    image: np.ndarray,
    volume: SubjectVolume,
    origin: SubjectRecord,
    records: RecordSet,
) -> list[float]:
    """Mean Dice, then what the model says."""
    manifest = records.manifest
    answer = predictor.serve(tf.constant(image.astype(np.float32)))
    segmented = Segmented(volume, class_indices(answer["label"].numpy(), manifest.classes))
    scores = score(segmented, origin, manifest, [measures.named("dice")])
    dice = np.mean([scores[region]["dice"] for region in averaged_regions(manifest)])
    return [float(dice), *answer["quality"].numpy().tolist()]


def confidence(measured: Measured, name: str) -> np.ndarray:
    """What the model said, so that more is better."""
    values = measured.table[name].to_numpy()
    return -values if name in LOW_IS_GOOD else values


def rho(said: np.ndarray, dice: np.ndarray) -> float:
    """Spearman's correlation; nan where either is the same for all."""
    if np.ptp(said) == 0 or np.ptp(dice) == 0:
        return float("nan")
    return float(stats.spearmanr(said, dice).statistic)


def risks(said: np.ndarray, dice: np.ndarray) -> np.ndarray:
    """The mean of 1 - Dice over the 1, 2, ..., N images that are trusted most: [N].

    Images of one confidence count each as their mean, so that their order means nothing.
    """
    _, group = np.unique(-said, return_inverse=True)
    means = np.bincount(group, 1 - dice) / np.bincount(group)
    return np.cumsum(means[np.sort(group)]) / np.arange(1, len(dice) + 1)


def summary(measured: Measured) -> pd.DataFrame:
    """A row per number that the model gives: rho with its interval over subjects, and AURC.

    AURC, the area under the risk-coverage curve, is the mean of `risks`: the lower the better. The
    last two rows are the best that any order of these images could have, and the order by lot.
    """
    dice = measured.table[DICE].to_numpy()
    rows = {}
    for name in measured.names:
        said = confidence(measured, name)
        low, high = _interval(measured, said)
        rows[name] = (rho(said, dice), low, high, risks(said, dice).mean())
    none = float("nan")
    rows["(best order)"] = (1.0, none, none, risks(dice, dice).mean())
    rows["(by lot)"] = (0.0, none, none, float(np.mean(1 - dice)))
    return pd.DataFrame(rows, index=["rho", "from", "to", "AURC"]).T


def _interval(measured: Measured, said: np.ndarray) -> tuple[float, float]:
    """Of rho, 95 %, by drawing subjects, each with all of its images."""
    dice = measured.table[DICE].to_numpy()
    places = list(measured.table.groupby("subject", sort=False).indices.values())
    random = np.random.default_rng(0)
    found = []
    for _ in range(DRAWS):
        drawn = random.integers(0, len(places), len(places))
        chosen = np.concatenate([places[index] for index in drawn])
        found.append(rho(said[chosen], dice[chosen]))
    if np.isnan(found).all():  # The model says the same of all, or all are equally good.
        return float("nan"), float("nan")
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def describe(measured: Measured) -> str:
    """The summary as text."""
    table = measured.table
    return (
        f"{summary(measured).to_string(float_format='{:.3f}'.format, na_rep='')}\n"
        "rho: Spearman's, of what the model says and mean Dice, turned so that more is better, "
        "with its 95 % interval over subjects\n"
        f"{len(table)} images of {table['subject'].nunique()} subjects, as they are and degraded; "
        f"mean Dice {table[DICE].mean():.3f}, as they are "
        f"{table[DICE][table['strength'] == 0].mean():.3f}\n"
    )


def write(measured: Measured, folder: Path) -> list[Path]:
    """Writes quality.csv, quality.txt and quality.png; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    table, text, picture = (folder / f"quality.{kind}" for kind in ("csv", "txt", "png"))
    write_file(table, measured.table.to_csv(index=False).encode())
    write_file(text, describe(measured).encode())
    said = {name: measured.table[name].to_numpy() for name in measured.names}
    dice = measured.table[DICE].to_numpy()
    curves = {name: risks(confidence(measured, name), dice) for name in measured.names}
    curves["best order"] = risks(dice, dice)
    kinds = measured.table["degradation"].to_numpy()
    write_file(picture, quality_figures.of_model(said, dice, kinds, curves))
    return [table, text, picture]
