"""Settings of a run by the names that a study file gives them."""

from pathlib import Path

import pytest

from tfadv.study.naming import entry_of, naming_entries
from tfadv.study.plan import Line, SplitEntry, Study, Trial
from tfrecords.errors import SettingError, UserError

FILE = Path("studies/x.toml")
SECOND = SplitEntry(("1",), ("0",))
LINES = {"a": Line("kohl_hybrid", {"width": 8})}
STUDY = Study("x", Path("r"), LINES, hp={"epochs": 3}, splits=(SplitEntry(("0",), ("1",)), SECOND))
TRIAL = Trial("a", SECOND, 0, 1.0)


@pytest.mark.parametrize(
    ("setting", "entry"),
    [
        ("hp.width", "lines.a.hp.width"),
        ("hp.epochs", "hp.epochs"),
        ("hp.shift", "lines.a.hp.shift"),  # The preset's, which does not fit the others.
        ("validation_folds", "splits.1.validation"),
        ("test_folds", "splits.1.test"),
        ("positive_fraction", "fractions"),
        ("unlabelled_subjects", "lines.a.unlabelled"),
        ("select_by", "score"),
        ("seed", "seeds"),
        ("method", "lines.a.method"),
        ("records", "records"),
    ],
)
def test_a_settings_entry(setting: str, entry: str) -> None:
    assert entry_of(setting, STUDY, TRIAL) == entry


def test_folds_that_rotate_have_no_entry_of_their_own() -> None:
    study = Study("x", Path("r"), LINES)
    assert entry_of("test_folds", study, TRIAL) == "splits.test"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SettingError("hp.width", "expected 1"), "lines.a.hp.width: expected 1"),
        (
            SettingError("validation_folds, test_folds", "expected others"),
            "splits.1.validation, splits.1.test: expected others",
        ),
        (UserError("expected a method"), "lines.a: expected a method"),
    ],
)
def test_errors_name_file_and_entry(error: UserError, told: str) -> None:
    with pytest.raises(UserError) as refusal, naming_entries(FILE, STUDY, TRIAL):
        raise error
    assert str(refusal.value) == f"studies/x.toml: {told}"
