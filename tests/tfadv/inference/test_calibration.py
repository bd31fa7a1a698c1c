"""The Dice that is to be expected, by a curve of three points."""

import numpy as np
import pytest

from tfadv.inference.calibration import Calibration
from tfrecords.errors import SettingError


def calibration(**values: object) -> Calibration:
    given: dict[str, object] = {
        "measure": "entropy",
        "at": (1.0, 2.0, 4.0),
        "dice": (0.9, 0.8, 0.05),
        "within": 0.15,
        "coverage": 0.9,
        "rho": 0.5,
        "subjects": 5,
        "images": 50,
    }
    return Calibration(**(given | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (1.5, (0.85, 0.7, 1.0)),
        (0.0, (0.9, 0.75, 1.0)),
        (9.0, (0.05, 0.0, 0.2)),
        (3.0, (0.425, 0.275, 0.575)),
    ],
)
def test_between_points_lies_a_line(said: float, expected: tuple[float, float, float]) -> None:
    found = calibration().expected(("judge", "entropy"), np.array([7.0, said]))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("at", [(), (1.0, 2.0), (1.0, 4.0, 2.0)])
def test_a_curve_that_is_none_is_refused(at: tuple[float, ...]) -> None:
    with pytest.raises(SettingError, match="expected a Dice for each of rising values"):
        calibration(at=at)
