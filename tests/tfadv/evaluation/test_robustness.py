"""Trained runs on degraded subjects."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfadv.evaluation import degradations, evaluate, robustness
from tfadv.evaluation.degradations import CLEAN, DEGRADATIONS
from tfadv.evaluation.masks import Spacing
from tfadv.evaluation.robustness import Scores
from tfadv.run.run import Trained, load_run
from tfadv.run.settings import Settings
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError
from tfrecords.reading.record_set import open_record_set

SETTINGS = Settings("kohl_cross_entropy", {}, "records", ("0",), ("1",), ("2",))


@pytest.fixture(scope="module")
def pair(run: WorkDir, tmp_path_factory: pytest.TempPathFactory) -> tuple[WorkDir, WorkDir]:
    """The trained run, and a copy of it."""
    folder = tmp_path_factory.mktemp("pair") / "copy"
    shutil.copytree(run.folder, folder)
    return run, WorkDir(folder)


@pytest.fixture(scope="module")
def scores(pair: tuple[WorkDir, WorkDir]) -> Scores:
    return robustness.measure(pair)


@pytest.mark.slow
def test_a_row_per_run_image_subject_and_region(
    scores: Scores, pair: tuple[WorkDir, WorkDir], tmp_path: Path
) -> None:
    """Undegraded, the scores are those of the evaluation; equal runs see equal images."""
    trained, _, predictor = load_run(pair[0])
    settings, records = trained.settings, trained.records
    tables = evaluate.evaluate(WorkDir(tmp_path), predictor, records, settings.test_folds)
    assert scores.averaged == ("label_1", "label_2")
    table = scores.table
    assert len(table) == 2 * 10 * 2 * 2
    one, two = (table[table["run"] == str(work_dir.folder)] for work_dir in pair)
    pd.testing.assert_frame_equal(
        one.drop(columns="run").reset_index(drop=True),
        two.drop(columns="run").reset_index(drop=True),
    )
    clean = one[one["degradation"] == CLEAN].set_index(["subject", "region"])["dice"]
    expected = tables.regions.set_index(["subject", "region"])["dice"]
    pd.testing.assert_series_equal(clean, expected)


def test_fewer_subjects_have_the_same_scores(scores: Scores, pair: tuple[WorkDir, WorkDir]) -> None:
    fewer = robustness.measure(pair[:1], subjects=1).table
    (subject,) = fewer["subject"].unique()
    same = scores.table[scores.table["run"] == str(pair[0].folder)]
    same = same[same["subject"] == subject]
    pd.testing.assert_frame_equal(
        fewer.drop(columns="run").reset_index(drop=True),
        same.drop(columns="run").reset_index(drop=True),
    )


@pytest.mark.parametrize(
    ("count", "chosen"), [(1, "a"), (2, "ae"), (3, "ace"), (5, "abcde"), (9, "abcde")]
)
def test_subjects_are_spread_over_the_order(count: int, chosen: str) -> None:
    assert robustness._spread("abcde", count) == set(chosen)


def test_what_destroys_the_image_costs_dice(scores: Scores) -> None:
    """Two millimetres of blur mix the inner ball of 4 mm with the outer one."""
    by_image = scores.mean_dice().groupby(["degradation", "strength"]).mean()
    assert by_image["blur", 2.0] < by_image[CLEAN, 0.0] - 0.1
    assert by_image["noise", 0.4] < by_image[CLEAN, 0.0]
    assert by_image.nunique() > 5


def test_files(scores: Scores, tmp_path: Path) -> None:
    table, picture = robustness.write(scores, tmp_path / "new" / "out")
    pd.testing.assert_frame_equal(pd.read_csv(table), scores.table)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in table.parent.iterdir()) == [
        "robustness.csv",
        "robustness.png",
    ]


def by_hand() -> Scores:
    rows = [
        (run, degradation, strength, subject, region, dice - loss * strength)
        for degradation, strength in (("clean", 0.0), ("noise", 0.1), ("blur", 0.5))
        for subject, dice in (("a", 0.9), ("b", 0.7))
        for run, loss in (("plain", 1.0), ("both", 0.2))
        for region in ("x", "y", "other")
    ]
    columns = ["run", "degradation", "strength", "subject", "region", "dice"]
    table = pd.DataFrame(rows, columns=columns)
    table.loc[table["region"] == "y", "dice"] -= 0.02
    return Scores(table, ("x", "y"), {"plain": ["plain"], "both": ["both"]})


def test_the_table_in_words() -> None:
    first, second, *rows = robustness.describe(by_hand()).splitlines()
    assert first.split() == ["plain", "both"]
    assert second.split() == ["degradation", "strength"]
    assert [" ".join(row.split()) for row in rows] == [
        "clean 0.0 0.790 ± 0.100 0.790 ± 0.100",
        "noise 0.1 0.690 ± 0.100 0.770 ± 0.100",
        "blur 0.5 0.290 ± 0.100 0.690 ± 0.100",
        "Dice, mean of x, y",
        "mean ± standard deviation of 2 subjects",
    ]


def test_seeds_are_averaged_before_a_word_is_said() -> None:
    """Of clean images no seed differs; of noise they have 0.690 and 0.770."""
    seeds = replace(by_hand(), lines={"vat": ["plain", "both"]})
    first, _, *rows = robustness.describe(seeds).splitlines()
    assert first.split() == ["vat,", "2", "seeds"]
    assert [" ".join(row.split()) for row in rows] == [
        "clean 0.0 0.790 (0.790 to 0.790)",
        "noise 0.1 0.730 (0.690 to 0.770)",
        "blur 0.5 0.490 (0.290 to 0.690)",
        "Dice, mean of x, y",
        "mean of 2 subjects and of seeds (smallest to largest seed)",
    ]


def test_curves_are_of_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    monkeypatch.setattr(robustness.figures, "curves", lambda panels, _: drawn.update(panels) or b"")
    kept = {"noise": replace(DEGRADATIONS["noise"], strengths=(0.1,), axis="noise")}
    monkeypatch.setattr(degradations, "DEGRADATIONS", kept)
    robustness.write(replace(by_hand(), lines={"vat": ["plain", "both"]}), tmp_path)
    np.testing.assert_allclose(drawn["noise"].pop("vat"), [[0, 0.1], [0.79, 0.73]])
    assert drawn == {"noise": {}}


def test_curves_start_at_the_clean_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    monkeypatch.setattr(robustness.figures, "curves", lambda panels, _: drawn.update(panels) or b"")
    kept = {
        name: replace(DEGRADATIONS[name], strengths=(strength,), axis=f"{name} in mm")
        for name, strength in (("noise", 0.1), ("blur", 0.5))
    }
    monkeypatch.setattr(degradations, "DEGRADATIONS", kept)
    robustness.write(by_hand(), tmp_path)
    assert {axis: list(lines) for axis, lines in drawn.items()} == {
        "noise in mm": ["plain", "both"],
        "blur in mm": ["plain", "both"],
    }
    for axis, run, strengths, means in (
        ("noise in mm", "plain", [0, 0.1], [0.79, 0.69]),
        ("noise in mm", "both", [0, 0.1], [0.79, 0.77]),
        ("blur in mm", "plain", [0, 0.5], [0.79, 0.29]),
    ):
        np.testing.assert_allclose(drawn[axis][run], [strengths, means])


def begin(folder: Path, **settings: object) -> WorkDir:
    work_dir = WorkDir(folder)
    work_dir.begin(replace(SETTINGS, **settings))
    return work_dir


@pytest.mark.parametrize(
    ("settings", "received"),
    [
        ({"records": "others"}, "record sets: records and others alone"),
        ({"test_folds": ("2", "3")}, "test folds: none and 3 alone"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(
    settings: dict[str, object], received: str, tmp_path: Path
) -> None:
    same, other = begin(tmp_path / "a"), begin(tmp_path / "b", **settings)
    with pytest.raises(UserError) as refusal:
        robustness.measure([same, begin(tmp_path / "c"), other])
    (line,) = str(refusal.value).splitlines()
    assert line.startswith(f"{same.folder} and {other.folder}: expected runs on one record set")
    assert received in line


class Nowhere:
    """A predictor that finds background alone."""

    def predict(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"label": tf.zeros(image.shape[:3], tf.uint8)}


def test_runs_have_names_and_degradations_the_working_spacing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_records: tuple[object, Path]
) -> None:
    records = open_record_set(small_records[1])
    trained: Any = SimpleNamespace(records=records)
    nothing: Any = None
    monkeypatch.setattr(robustness, "load_run", lambda _: Trained(trained, nothing, Nowhere()))
    spacings_mm = set()

    def look(image: np.ndarray, _: float, __: object, spacing_mm: Spacing) -> np.ndarray:
        spacings_mm.add(spacing_mm)
        return image

    looking = {"look": degradations.Degradation(look, (1.0,), "")}
    monkeypatch.setattr(degradations, "DEGRADATIONS", looking)

    def make(folder: str, method: str) -> WorkDir:
        return begin(tmp_path / folder, method=method, test_folds=("1",))

    one, two, three = make("1", "kohl_hybrid"), make("2", "kohl_hybrid"), make("3", "segan")
    found = robustness.measure([one, three]).table["run"].unique()
    assert list(found) == ["kohl_hybrid", "segan"]
    found = robustness.measure([one, two]).table["run"].unique()
    assert list(found) == [str(one.folder), str(two.folder)]
    assert spacings_mm == {(2.0, 1.0, 1.0)}  # Along z, y and x.
