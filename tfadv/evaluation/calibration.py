"""What Dice to expect when a model says so, by subjects that trained none of its members."""

import numpy as np
from absl import logging
from scipy.optimize import isotonic_regression

from tfadv.evaluation.quality import DICE, Measured, confidence, measure, rho
from tfadv.inference.calibration import Calibration
from tfadv.inference.quality import LOW_IS_GOOD
from tfadv.run.ensemble import Ensemble
from tfrecords.errors import SettingError

COVERAGE = 0.9
LEAST_SUBJECTS = 5
POINTS = 20  # Of the curve at most: means over as many images each.


def require_unseen(ensemble: Ensemble) -> None:
    """Raises SettingError where too few validation subjects trained no member.

    Those of a cross-validation are the other members' training subjects.
    """
    if (unseen := len(ensemble.unseen)) < LEAST_SUBJECTS:
        raise SettingError(
            "calibrate",
            f"expected at least {LEAST_SUBJECTS} validation subjects on which no run trained, "
            f"received {unseen}. Export runs of one split, such as of several seeds",
        )


def calibrate(ensemble: Ensemble) -> Calibration:
    """Of an ensemble on its validation subjects, as they are and degraded.

    They chose the members' epochs, but not their weights. The number of the quality is taken that
    tells their Dice best.

    Raises:
        SettingError: see `require_unseen`.
    """
    require_unseen(ensemble)
    unseen = ensemble.unseen
    records = ensemble.first.records
    folds = sorted({one.fold for one in records.manifest.subjects if one.name in unseen})
    measured = measure(ensemble.predictor(), records, folds, unseen)
    return fit(measured)


def fit(measured: Measured) -> Calibration:
    """An isotonic curve of Dice, and how far Dice is from it.

    The curve is drawn through means of images that lie beside each other, and is level where these
    fall. The interval is as wide as holds COVERAGE of the images when each subject's are compared
    with the curve of the others.
    """
    dice = measured.table[DICE].to_numpy()
    by_rho = {name: rho(confidence(measured, name), dice) for name in measured.names}
    best = max(by_rho, key=lambda name: np.nan_to_num(by_rho[name], nan=-1.0))
    said = measured.table[best].to_numpy()
    subjects = measured.table["subject"].to_numpy()
    falls = best in LOW_IS_GOOD
    at, means = _curve(said, dice, falls=falls)
    residuals = np.concatenate(
        [
            np.abs(
                np.interp(
                    said[subjects == name],
                    *_curve(said[subjects != name], dice[subjects != name], falls=falls),
                )
                - dice[subjects == name]
            )
            for name in np.unique(subjects)
        ]
    )
    if not by_rho[best] > 0:
        logging.warning("calibrate: nothing that the model says rises with Dice: %s", by_rho)
    return Calibration(
        best,
        tuple(at.tolist()),
        tuple(means.tolist()),
        float(np.quantile(residuals, COVERAGE)),
        COVERAGE,
        by_rho[best],
        len(np.unique(subjects)),
        len(dice),
    )


def _curve(said: np.ndarray, dice: np.ndarray, *, falls: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rising values and the Dice there, which rises or falls with them."""
    order = np.argsort(said, kind="stable")
    groups = np.array_split(order, min(POINTS, len(order)))
    at = np.array([said[group].mean() for group in groups])
    means = np.array([dice[group].mean() for group in groups])
    weights = np.array([len(group) for group in groups])
    return at, isotonic_regression(means, weights=weights, increasing=not falls).x


def sentence(calibration: Calibration) -> str:
    """What a calibration says."""
    return (
        f"predicted Dice: by {calibration.measure} (rho {calibration.rho:.2f}), within "
        f"{calibration.within:.2f} for {calibration.coverage:.0%} of {calibration.images} images "
        f"of {calibration.subjects} validation subjects, as they are and degraded"
    )
