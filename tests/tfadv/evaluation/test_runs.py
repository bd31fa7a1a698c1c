"""Runs beside each other, and tables that are damaged."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfadv.evaluation import compare, runs
from tfadv.evaluation.runs import EvaluatedRun
from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError

Evaluated = Callable[..., EvaluatedRun]
BASE = (0.5, 0.6, 0.4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"subjects": ("s0", "s1", "s9")}, "test subjects: s2 and s9 alone"),
        ({"records": "others"}, "record sets: records and others alone"),
        ({"dice": {"x": BASE, "y": BASE}}, "classes and regions: none and y alone"),
        (
            {"subjects": [f"t{n}" for n in range(7)], "dice": {"x": [0.0] * 7}},
            "test subjects: s0, s1, s2 and t0, t1, t2, t3, t4, 2 more alone",
        ),
    ],
)
def test_runs_that_differ_are_refused_by_what_differs(
    evaluated: Evaluated,
    changed: dict[str, Any],
    message: str,
    tmp_path: Path,
) -> None:
    baseline = evaluated(tmp_path / "a", {"x": BASE})
    changed = {
        "dice": {"x": BASE},
        "components": range(len(changed.get("subjects", BASE))),
    } | changed
    other = evaluated(tmp_path / "b", **changed)
    with pytest.raises(UserError, match=re.escape(f"They differ in {message}. ")):
        compare.compare(baseline, other)


@pytest.mark.parametrize("name", ["metrics.csv", "subjects.csv"])
def test_a_missing_table_names_the_command_that_makes_it(
    evaluated: Evaluated,
    name: str,
    tmp_path: Path,
) -> None:
    work_dir = evaluated(tmp_path / "a", {"x": BASE}).work_dir
    (tmp_path / "a" / name).unlink()
    command = f"no such file. Run python launch/evaluate.py --work_dir {tmp_path / 'a'}"
    with pytest.raises(UserError, match=f"{name}.*{re.escape(command)}$"):
        runs.read_run(work_dir)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.csv", "", "No columns"),
        ("metrics.csv", "subject,region\ns0,x\n", "dice"),
        ("metrics.csv", "subject,region,dice\ns0,x,good\n", "good"),
        ("metrics.csv", "subject,region,dice\ns0,x,1\ns0,x,1\n", "duplicate"),
        ("metrics.csv", "subject,region,dice\ns0,x,1\n", "the same subjects in both"),
    ],
)
def test_a_damaged_table_is_refused(
    evaluated: Evaluated,
    name: str,
    content: str,
    message: str,
    tmp_path: Path,
) -> None:
    work_dir = evaluated(tmp_path / "a", {"x": BASE}).work_dir
    (tmp_path / "a" / name).write_text(content)
    with pytest.raises(UserError, match=f"{name}.*{message}.*Run python launch/evaluate.py"):
        runs.read_run(work_dir)


def test_names_that_look_like_numbers_or_nothing_stay(
    evaluated: Evaluated,
    tmp_path: Path,
) -> None:
    run = evaluated(tmp_path / "a", {"NA": BASE}, subjects=("001", "1", "NA"))
    assert list(run.scores.index) == ["001", "1", "NA"]
    assert ("dice", "NA") in run.scores


def test_runs_are_named_by_method_or_else_folder(
    evaluated: Evaluated,
    tmp_path: Path,
) -> None:
    one, two = (evaluated(tmp_path / name, {"x": BASE}) for name in "ab")
    other = evaluated(tmp_path / "c", {"x": BASE}, method="kohl_hybrid")
    assert compare.names(one, other) == ("kohl_cross_entropy", "kohl_hybrid")
    assert compare.names(one, two) == (str(tmp_path / "a"), str(tmp_path / "b"))


def lines(*settings: dict[str, Any]) -> dict[str, list[int]]:
    """Of runs in the folders 0, 1, ..."""
    made = [
        Settings(**{"method": "vat", "hyperparameters": {"width": 8}} | FOLDS | each)
        for each in settings
    ]
    return runs.lines([WorkDir(Path(str(place))) for place in range(len(made))], made)


FOLDS = {"records": "r", "training_folds": "a", "validation_folds": "b", "test_folds": "c"}


def test_runs_that_differ_in_their_seed_alone_are_a_line() -> None:
    assert lines({"seed": 4}, {"method": "dice", "seed": 4}, {"seed": 0}) == {
        "vat": [0, 2],
        "dice": [1],
    }


@pytest.mark.parametrize(
    "other", [{"hyperparameters": {"width": 16}}, {"positive_fraction": 0.5}, {"seed": 0}]
)
def test_other_runs_are_lines_of_their_own_folders(other: dict[str, Any]) -> None:
    """A seed that is there already is no other seed."""
    assert lines({"seed": 0}, {"seed": 1} | other, {"seed": 2}) == {"0": [0, 2], "1": [1]}
