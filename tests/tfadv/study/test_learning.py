"""What a study's runs logged, over steps and minutes, by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfadv.evaluation.criterion import Criterion
from tfadv.run.settings import Settings
from tfadv.run.work_dir import VERSION, Progress
from tfadv.study import curves, drawings, learning
from tfadv.study.material import Material
from tfadv.study.plan import Line, SplitEntry, Study
from tfrecords.files import write_json
from tfrecords.reading.record_set import RecordSet

DICE = {"slow": ([0.1, 0.5, 0.4, 0.8], [0.3, 0.2, 0.6, 0.6]), "quick": ([0.7, 0.6], [0.5, 0.6])}
STEPS = {"slow": 50, "quick": 100}
SECONDS = {"slow": (60.0, 120.0), "quick": (30.0, 30.0)}


def material(records: RecordSet, folder: Path, *, timed: bool) -> Material:
    """Two lines of two seeds each; of the first epoch's time nothing is known where not `timed`."""
    splits = (SplitEntry(("1",), ("0",)),)
    lines = {line: Line("m") for line in DICE}
    study = Study("x", records.folder, lines, seeds=(0, 1), splits=splits)
    columns = ["line", "seed", "fraction", "fold"]
    rows = [(line, seed, 1.0, "0") for line in DICE for seed in study.seeds]
    found = Material(study, folder, records, pd.DataFrame(rows, columns=columns), pd.DataFrame())
    for trial in found.done:
        of_run = DICE[trial.line][trial.seed]
        history: list[dict[str, int | float]] = [
            {"epoch": epoch, "val_dice": value} for epoch, value in enumerate(of_run, 1)
        ]
        work_dir = found.work_dir(trial)
        values: dict[str, bool | int | float | str] = {"steps_per_epoch": STEPS[trial.line]}
        work_dir.begin(Settings("m", values, "records", ("2",), ("1",), ("0",), trial.seed))
        seconds = dict.fromkeys(range(1, len(of_run) + 1), SECONDS[trial.line][trial.seed])
        if not timed:
            del seconds[1]
        progress = Progress(len(of_run), 1, of_run[0], history, seconds=seconds)
        write_json(work_dir.folder / "progress.json", progress, VERSION)
    return found


@pytest.mark.parametrize("timed", [True, False])
def test_steps_and_mean_minutes_from_the_start(
    timed: bool, records: RecordSet, tmp_path: Path
) -> None:
    found = learning.of_runs(material(records, tmp_path, timed=timed))
    for line, epochs, minutes in (("slow", 4, 1.5), ("quick", 2, 0.5)):
        for _, run in found[found["line"] == line].groupby("run"):
            counted = np.arange(1, epochs + 1)
            np.testing.assert_array_equal(run["step"], STEPS[line] * counted)
            np.testing.assert_allclose(run["minutes"], minutes * counted if timed else np.nan)
    assert len(found) == 12


@pytest.mark.parametrize(("timed", "panels"), [(True, ["step", "minutes"]), (False, ["step"])])
def test_curves_lie_over_minutes_where_epochs_were_timed(
    timed: bool,
    panels: list[str],
    records: RecordSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []

    def note(_: object, __: object, ___: object, over: dict[str, str]) -> bytes:
        drawn.extend(over)
        return b"png"

    monkeypatch.setattr(curves, "learning_curves", note)
    shown = drawings.learning_curves(material(records, tmp_path, timed=timed))
    assert shown is not None
    assert drawn == panels
    assert [row[-1] for row in shown.table[1]] == ["0.700", "0.650"]


@pytest.mark.parametrize(
    ("criterion", "slow", "quick"),
    [
        (Criterion("dice", "mean"), ["0.200", "0.400", "0.700"], ["", "0.600", "0.650"]),
        (Criterion("hausdorff95_mm", "mean"), ["2.0", "1.5", "1.5"], ["", "6.0", "5.5"]),
    ],
)
def test_the_best_so_far_is_the_mean_of_runs(
    criterion: Criterion, slow: list[str], quick: list[str]
) -> None:
    """Of millimetres, ten times the Dice here, the least; of too few epochs there is no quarter."""
    rows = [
        {"line": line, "run": run, "epoch": epoch, criterion.key: value}
        for line, runs in DICE.items()
        for run, values in enumerate(runs)
        for epoch, value in enumerate(values, 1)
    ]
    logged = pd.DataFrame(rows)
    if criterion.measure != "dice":
        logged[criterion.key] *= 10
    titles, table = learning.so_far(logged, criterion)
    assert titles[0] == "line"
    assert [len(titles), *table] == [4, ["slow", *slow], ["quick", *quick]]
