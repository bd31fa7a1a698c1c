"""How well a model's runs segment subjects that trained none of theirs: what its card says."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from tfadv.evaluation import measures
from tfadv.evaluation.scoring import score, segment
from tfadv.evaluation.tables import read_table
from tfadv.inference.description import TEST, VALIDATION, ComponentNote, ScoreNote
from tfadv.inference.targets import averaged_regions
from tfadv.run.ensemble import Ensemble
from tfadv.run.work_dir import WorkDir
from tfrecords.names import MEAN

SUBJECT = ""  # No region has this name.
DICE = [measures.named("dice")]
Row = dict[str, str | float]  # Dice by region, and whose it is.


def held_out_scores(
    ensemble: Ensemble, components: Sequence[ComponentNote] = ()
) -> tuple[ScoreNote, ...]:
    """Of each class and region, and of their mean.

    Validation subjects are segmented here, each by the member that they validated, alone. Scores
    of test subjects are those that `evaluate` wrote of the runs, where all of them have some. What
    several members segmented counts once, with their mean.
    """
    alone = ensemble.alone()
    validated = [row for member in alone for row in _of_validation(member, components)]
    tested: list[Row] = []
    if all(work_dir.is_evaluated for work_dir in ensemble.work_dirs):
        tested = [row for work_dir in ensemble.work_dirs for row in _of_test(work_dir)]
    return (*_notes(VALIDATION, validated), *_notes(TEST, tested))


def _of_validation(member: Ensemble, components: Sequence[ComponentNote]) -> Iterator[Row]:
    run, folds = member.first, member.first.settings.validation_folds
    origins = {subject.name: subject for subject in run.manifest.subjects}
    total = sum(subject.fold in folds for subject in origins.values())
    segmented = segment(member.predictor(components), run.records, folds)
    for subject in tqdm(segmented, "Scoring validation", total=total, dynamic_ncols=True):
        scores = score(subject, origins[subject.volume.subject], run.manifest, DICE)
        dice = {region: of["dice"] for region, of in scores.items()}
        mean = float(np.mean([dice[region] for region in averaged_regions(run.manifest)]))
        yield {SUBJECT: subject.volume.subject, MEAN: mean, **dice}


def _of_test(work_dir: WorkDir) -> Iterator[Row]:
    folds = work_dir.settings().test_folds
    means = read_table(work_dir, work_dir.subjects, ("subject", "fold"), ("mean_dice",))
    regions = read_table(work_dir, work_dir.metrics, ("subject", "region"), ("dice",))["dice"]
    for (subject, fold), mean in means["mean_dice"].items():
        if fold in folds:
            yield {SUBJECT: subject, MEAN: float(mean), **regions.loc[subject].to_dict()}


def _notes(split: str, rows: Sequence[Row]) -> Iterator[ScoreNote]:
    if rows:
        by_subject = pd.DataFrame(rows).groupby(SUBJECT).mean()
        for region, dice in by_subject.items():
            deviation = float(dice.std(ddof=0))
            yield ScoreNote(split, str(region), len(dice), float(dice.mean()), deviation)
