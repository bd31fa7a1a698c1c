"""What a study's finished runs measured, as one table."""

import pandas as pd

from tfadv.evaluation import measures
from tfadv.evaluation.tables import read_table
from tfadv.inference.targets import averaged_regions
from tfadv.run.settings import Settings
from tfadv.run.split import positive_subjects, training_subjects
from tfadv.run.work_dir import WorkDir
from tfrecords.names import MEAN
from tfrecords.records.manifest import Manifest

SUBJECT = ("subject", "group", "fold")


def run_results(work_dir: WorkDir, settings: Settings, manifest: Manifest) -> pd.DataFrame:
    """A row per test subject and region of an evaluated run.

    Returns:
        The columns of SUBJECT, region, all measures, method, seed, fraction, training_subjects
        (positive ones) and best_epoch; fold names all of the run's test folds. The region MEAN
        holds the means over `averaged_regions`, without those for which a measure does not exist.

    Raises:
        UserError: the run's table is missing or damaged, or lacks a measure.
    """
    index = [*SUBJECT, "region"]
    table = read_table(work_dir, work_dir.metrics, index, measures.names()).reset_index()
    averaged = table[table["region"].isin(averaged_regions(manifest))]
    means = averaged.groupby(list(SUBJECT), sort=False)[measures.names()].mean().reset_index()
    folds, fraction = settings.training_folds, settings.positive_fraction
    training = training_subjects(manifest, folds, fraction, settings.seed)
    return pd.concat([means.assign(region=MEAN), table], ignore_index=True).assign(
        method=settings.method,
        fold="+".join(settings.test_folds),
        seed=settings.seed,
        fraction=fraction,
        training_subjects=len(training.intersection(positive_subjects(manifest, folds))),
        best_epoch=work_dir.progress().best_epoch,
    )
