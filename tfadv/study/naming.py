"""Errors of a study's trials name its file and entry, not the flag of another program."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfadv.study.plan import Study, Trial
from tfrecords.errors import SettingError, UserError


def entry_of(setting: str, study: Study, trial: Trial) -> str:
    """Where a study file sets what a run calls `setting`, such as "hp.width"."""
    line = f"lines.{trial.line}"
    group, _, name = setting.partition(".")
    if group == "hp":
        of_all = name in study.hp and name not in study.lines[trial.line].hp
        return setting if of_all else f"{line}.{setting}"
    if setting in ("validation_folds", "test_folds"):
        place = f".{study.splits.index(trial.split)}" if study.splits else ""
        return f"splits{place}.{setting.removesuffix('_folds')}"
    if setting == "unlabelled_subjects":
        return f"{line}.unlabelled"
    named = {"positive_fraction": "fractions", "select_by": "score", "seed": "seeds"}
    return f"{line}.method" if setting == "method" else named.get(setting, setting)


@contextmanager
def naming_entries(file: Path, study: Study, trial: Trial) -> Iterator[None]:
    """Raises what is wrong with a setting as what is wrong with the study file's entry."""
    try:
        yield
    except SettingError as error:
        entries = [entry_of(setting, study, trial) for setting in error.setting.split(", ")]
        raise UserError(f"{file}: {', '.join(entries)}: {error.reason}") from None
    except UserError as error:
        raise UserError(f"{file}: lines.{trial.line}: {error}") from None
