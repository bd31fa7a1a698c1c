"""A study file: which trials there will be.

    title = "Does the adversary help?"
    records = "records/prostate"      # relative to where the program runs, as everywhere
    preset = "paper"                  # of all lines; "paper" if not given
    score = "tumour"                  # class or region whose validation Dice chooses the epoch and
                                      # whose test scores come first; the mean if not given
    seeds = [0, 1]                    # [0] if not given
    fractions = [1, 0.5, 0.25]        # of the positive training subjects; [1] if not given
    hp = {epochs = 100}               # of all lines

    [lines.cross_entropy]             # the first line is the baseline
    method = "kohl_cross_entropy"

    [lines.adversarial]
    method = "kohl_purely_adversarial"
    hp = {discriminator_steps = 3}

    [lines.unlabelled]
    method = "kohl_hybrid"
    hp = {unlabelled = true}
    unlabelled = 20                   # subjects, of those without label map and those that the
                                      # fraction leaves out; all without label map if not given

    [[splits]]                        # if not given, every fold tests once and the next validates
    validation = ["1"]
    test = ["0"]

The trials are all combinations of line, split, seed and fraction.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import MinLen
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from tfadv.run.split import HeldOut, rotated
from tfadv.study.entries import (
    FolderName,
    FoldNames,
    Fractions,
    Hyperparameters,
    Seeds,
    Subjects,
    Title,
    faults,
)
from tfrecords.errors import UserError
from tfrecords.names import repeated

Strict = ConfigDict(extra="forbid")
LONGEST = 255  # Bytes of a folder's name.


@with_config(Strict)
@dataclass(frozen=True)
class Line:
    """What a study compares: a method and what sets it apart."""

    method: str
    hp: Hyperparameters = field(default_factory=dict)
    unlabelled: Subjects = 0


# Of a split that lacks an entry, what HeldOut takes for none is checked as well.
@with_config(ConfigDict(extra="forbid", validate_default=True))
@dataclass(frozen=True)
class SplitEntry(HeldOut):
    """An entry of `splits`: the folds that do not train."""

    validation: FoldNames
    test: FoldNames


@with_config(Strict)
@dataclass(frozen=True)
class Study:
    """A study file's content; see the module."""

    title: Title
    records: Path
    lines: Annotated[dict[FolderName, Line], MinLen(1)]
    preset: Literal["paper", "small"] = "paper"
    score: str = "mean"
    seeds: Seeds = (0,)
    fractions: Fractions = (1.0,)
    hp: Hyperparameters = field(default_factory=dict)
    splits: tuple[SplitEntry, ...] = ()

    def overrides(self, line: str) -> list[str]:
        """A line's hyperparameters as `name=value`, the study's before its own."""
        return [f"{name}={value}" for name, value in (self.hp | self.lines[line].hp).items()]


@dataclass(frozen=True)
class Trial:
    """One training of a study, and its evaluation."""

    line: str
    split: HeldOut
    seed: int
    fraction: float

    @property
    def name(self) -> str:
        """Of its folder."""
        tested = "+".join(self.split.test)
        return f"{self.line}-test{tested}-seed{self.seed}-fraction{self.fraction:g}"


def trial_folder(folder: Path, trial: Trial) -> Path:
    """The work_dir of a trial of the study in this folder."""
    return folder / "runs" / trial.name


def read_study(path: Path) -> Study:
    """Raises UserError that names the wrong entry."""
    try:
        study = TypeAdapter(Study).validate_python(tomllib.loads(path.read_text()))
        if study.splits:
            all_trials(study, ())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: expected a study file (TOML), received: {error}") from None
    except ValidationError as error:
        raise UserError(
            f"{path}: expected a study as at the head of tfadv/study/plan.py, received "
            f"{faults(error)}"
        ) from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return study


def all_trials(study: Study, folds: Sequence[str]) -> list[Trial]:
    """Every trial, lines side by side, so that a study cut short still compares them.

    Args:
        folds: of the record set, for a study without splits.

    Raises:
        UserError: two trials would have one folder, or one a folder of too long a name.
    """
    splits = study.splits or tuple(
        SplitEntry(split.validation, split.test) for split in rotated(folds)
    )
    trials = [
        Trial(line, split, seed, fraction)
        for seed in study.seeds
        for fraction in study.fractions
        for split in splits
        for line in study.lines
    ]
    if again := repeated(trial.name for trial in trials):
        raise UserError(
            "splits, lines: expected trials with folders of their own, received several called "
            f"{again[0]}. Name lines otherwise, or test other folds in each split"
        )
    if long := [trial.name for trial in trials if len(trial.name.encode()) > LONGEST]:
        raise UserError(
            f"splits, lines: expected folders of at most {LONGEST} bytes, received {long[0]}. "
            "Shorten the line's name, or those of the folds that test"
        )
    return trials
