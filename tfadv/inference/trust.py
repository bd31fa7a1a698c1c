"""What a model says of its label maps, for whoever uses them: `predictions.csv` and a sentence."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfadv.inference.description import Description
from tfrecords.errors import SettingError
from tfrecords.files import write_file

TABLE = "predictions.csv"


def require_calibrated(description: Description, flag_below: float | None) -> None:
    """Raises SettingError where label maps are to be flagged by a Dice that nothing tells."""
    if flag_below is not None and description.calibration is None:
        raise SettingError(
            "flag_below",
            "expected a model that knows what Dice to expect, received one that was exported "
            "without --calibrate",
        )


def words(description: Description, quality: np.ndarray, flag_below: float | None) -> str:
    """What is to be expected of a label map, by the model's quality [N] of it."""
    said = ", ".join(
        f"{name} {value:.3g}" for name, value in zip(description.quality, quality, strict=True)
    )
    if (calibration := description.calibration) is None:
        return said
    dice, low, high = calibration.expected(description.quality, quality)
    text = f"predicted Dice {dice:.2f} ({low:.2f} to {high:.2f}); {said}"
    low_one = flag_below is not None and dice < flag_below
    return f"below {flag_below}: {text}" if low_one else text


def write_table(
    folder: Path,
    description: Description,
    said: Mapping[str, Sequence[float]],
    flag_below: float | None,
) -> list[str]:
    """Writes `predictions.csv`, a row per subject, and returns those flagged.

    The columns are subject and what the model said, by name; where it is calibrated before these
    predicted_dice, low and high, and flagged (0 or 1) if `flag_below` is given.
    """
    calibration, flagged = description.calibration, []
    rows = []
    for name, quality in said.items():
        row: dict[str, object] = {"subject": name}
        if calibration is not None:
            expected = calibration.expected(description.quality, np.array(quality))
            row |= {"predicted_dice": expected.dice, "low": expected.low, "high": expected.high}
            if flag_below is not None:
                row["flagged"] = int(expected.dice < flag_below)
                flagged += [name] if row["flagged"] else []
        rows.append(row | dict(zip(description.quality, quality, strict=True)))
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    write_file(folder / TABLE, text.getvalue().encode())
    return flagged
