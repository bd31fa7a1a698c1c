"""How surely two lines differ, when seeds are drawn as subjects are."""

import math

import numpy as np
import pandas as pd

DRAWS = 4000
LEAST_SEEDS = 2


def interval_over_seeds(differences: pd.Series) -> tuple[float, float]:
    """The 95 % interval of the mean difference over seeds and subjects, both drawn at random.

    Seeds and subjects are crossed, so both are drawn with replacement at once (the pigeonhole
    bootstrap, Owen 2007), which is rather too wide than too narrow. A p-value over subjects alone
    asks whether these trainings differ; this asks whether others would.

    Args:
        differences: by (subject, seed); a subject that lacks a seed is left out.

    Returns:
        nan twice where there are fewer than two seeds.
    """
    table = differences.unstack("seed").dropna().to_numpy()
    subjects, seeds = table.shape
    if seeds < LEAST_SEEDS or not subjects:
        return math.nan, math.nan
    random = np.random.default_rng(0)
    of_subjects = random.multinomial(subjects, np.full(subjects, 1 / subjects), DRAWS)
    of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS)
    means = np.einsum("ds,st,dt->d", of_subjects, table, of_seeds) / (subjects * seeds)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
