"""The table and the sentence on what to expect of label maps."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfadv.inference.calibration import Calibration
from tfadv.inference.trust import require_calibrated, words, write_table
from tfrecords.errors import SettingError

CALIBRATION = Calibration("judge", (0.0, 1.0), (0.4, 0.8), 0.1, 0.9, 0.7, 5, 50)


@pytest.fixture
def description() -> Any:
    return SimpleNamespace(quality=("entropy", "judge"), calibration=CALIBRATION)


def test_a_row_for_each_subject(description: Any, tmp_path: Path) -> None:
    said = {"a": (0.25, 1.0), "b": (0.5, 0.0)}
    assert write_table(tmp_path, description, said, 0.5) == ["b"]
    assert (tmp_path / "predictions.csv").read_text().splitlines() == [
        "subject,predicted_dice,low,high,flagged,entropy,judge",
        f"a,0.8,{0.8 - 0.1},{0.8 + 0.1},0,0.25,1.0",
        f"b,0.4,{0.4 - 0.1},0.5,1,0.5,0.0",
    ]
    assert write_table(tmp_path, description, said, None) == []
    description.calibration = None
    assert write_table(tmp_path, description, said, None) == []
    assert (tmp_path / "predictions.csv").read_text().splitlines()[:2] == [
        "subject,entropy,judge",
        "a,0.25,1.0",
    ]


def test_a_sentence(description: Any) -> None:
    quality = np.array([0.25, 0.0])
    said = "predicted Dice 0.40 (0.30 to 0.50); entropy 0.25, judge 0"
    assert words(description, quality, None) == said
    assert words(description, quality, 0.4) == said
    assert words(description, quality, 0.5) == f"below 0.5: {said}"
    description.calibration = None
    assert words(description, quality, None) == "entropy 0.25, judge 0"


def test_who_is_not_calibrated_flags_nothing(description: Any) -> None:
    require_calibrated(description, 0.5)
    description.calibration = None
    require_calibrated(description, None)
    with pytest.raises(SettingError, match="without --calibrate"):
        require_calibrated(description, 0.5)
