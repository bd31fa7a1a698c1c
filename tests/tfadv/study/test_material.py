"""What a report is made of, from a study's results so far."""

from pathlib import Path

import pandas as pd
import pytest

from tfadv.study import material
from tfadv.study.material import Material
from tfadv.study.plan import Line, SplitEntry, Study
from tfrecords.reading.record_set import RecordSet

SPLITS = (SplitEntry(("1",), ("0",)), SplitEntry(("0",), ("1", "2")))
COLUMNS = ["line", "seed", "fraction", "fold", "region", "training_subjects"]
ROWS = [
    ("new", 0, 1.0, "0", "label_2", 4),
    ("new", 0, 1.0, "1+2", "label_2", 3),
    ("old", 0, 0.5, "0", "label_1", 2),
]


@pytest.fixture
def unfinished(records: RecordSet, tmp_path: Path) -> Material:
    lines = {name: Line("kohl_hybrid") for name in ("old", "none", "new")}
    study = Study("x", records.folder, lines, score="label_1", fractions=(1.0, 0.5), splits=SPLITS)
    return Material(study, tmp_path, records, pd.DataFrame(ROWS, columns=COLUMNS), pd.DataFrame())


def test_what_there_is_stands_in_the_studys_order(unfinished: Material) -> None:
    assert unfinished.lines == ["old", "new"]
    assert unfinished.regions == ["label_1", "label_2"]  # The score's first.
    assert unfinished.fractions == [1.0, 0.5]
    assert len(unfinished.planned) == 3 * 2 * 2


def test_done_are_the_trials_in_the_results(unfinished: Material) -> None:
    done = {trial.name for trial in unfinished.done}
    assert done == {
        "new-test0-seed0-fraction1",
        "new-test1+2-seed0-fraction1",
        "old-test0-seed0-fraction0.5",
    }
    first = unfinished.done[0]
    assert unfinished.work_dir(first).folder == unfinished.folder / "runs" / first.name


def test_amounts_span_the_trials_of_a_fraction(unfinished: Material) -> None:
    assert unfinished.amounts() == {0.5: "2\n(50 %)", 1.0: "3 to 4\n(100 %)"}


def test_the_score_is_the_criterions_region(unfinished: Material, records: RecordSet) -> None:
    assert unfinished.criterion.key == "val_dice_label_1"
    study = Study("x", records.folder, {"a": Line("m")}, score="sensitivity:label_2")
    other = Material(study, unfinished.folder, records, unfinished.results, pd.DataFrame())
    assert (other.score, other.criterion.key) == ("label_2", "val_sensitivity_label_2")
    assert other.regions == ["label_2", "label_1"]


def test_words_of_numbers() -> None:
    assert material.percent(0.0625) == "6.25 %"
    assert (material.span(2, 2), material.span(2, 3)) == ("2", "2 to 3")
