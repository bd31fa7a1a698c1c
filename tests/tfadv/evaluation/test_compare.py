"""Two runs side by side: scores whose tests are known in closed form."""

import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import image as images

from tfadv.evaluation import compare
from tfadv.evaluation.runs import EvaluatedRun
from tfrecords.errors import UserError
from tfrecords.geometry.nifti import write_label
from tfrecords.reading.record_set import open_record_set, subject_volumes

Evaluated = Callable[..., EvaluatedRun]
BASE = (0.5, 0.6, 0.4)
NOTHING = (0.0, 0.0, 0.0)


def plus(differences: Sequence[float]) -> list[float]:
    return [score + difference for score, difference in zip(BASE, differences, strict=True)]


@pytest.mark.parametrize(
    ("differences", "mean", "std", "mark"),
    [
        ((0.10, 0.11, 0.12), 0.11, 0.01, "**"),  # t = 19.1, p = 0.0027
        ((0.12, 0.10, 0.14), 0.12, 0.02, "**"),  # t = 10.4, p = 0.0091
        ((0.10, 0.15, 0.20), 0.15, 0.05, "*"),  # t = 5.2, p = 0.035
        ((-0.15, -0.20, -0.10), -0.15, 0.05, "*"),  # Worse.
        ((0.02, 0.00, 0.01), 0.01, 0.01, ""),  # t = 1.7, p = 0.23
    ],
)
def test_paired_t_test_of_three_subjects(
    evaluated: Evaluated,
    differences: Sequence[float],
    mean: float,
    std: float,
    mark: str,
    tmp_path: Path,
) -> None:
    """With two degrees of freedom p is 1 - t / sqrt(2 + t²)."""
    baseline = evaluated(tmp_path / "a", {"x": BASE})
    other = evaluated(tmp_path / "b", {"x": plus(differences)})
    row = compare.compare(baseline, other).loc[("dice", "x")]
    t = mean / (std / math.sqrt(3))
    assert row["difference"] == pytest.approx(mean)
    assert row["t"] == pytest.approx(t)
    assert row["p"] == pytest.approx(1 - abs(t) / math.sqrt(2 + t * t))
    assert row["mark"] == mark
    assert row["baseline_mean"] == pytest.approx(0.5)
    assert row["baseline_std"] == pytest.approx(math.sqrt(0.02 / 3))
    assert row["other_mean"] == pytest.approx(0.5 + mean)


def test_rows_are_regions_their_mean_and_components(
    evaluated: Evaluated,
    tmp_path: Path,
) -> None:
    """Subjects are paired by name, in whichever order the files hold them."""
    better = plus((0.10, 0.15, 0.20))
    baseline = evaluated(tmp_path / "a", {"z": BASE, "a": BASE}, (10, 20, 30))
    other = evaluated(
        tmp_path / "b",
        {"z": better[::-1], "a": BASE[::-1]},
        (24, 15, 6),  # 4, 5 and 6 fewer.
        subjects=("s2", "s1", "s0"),
    )
    table = compare.compare(baseline, other)
    rows = [("dice", "z"), ("dice", "a"), ("mean_dice", "all"), ("components", "all")]
    assert list(table.index) == rows
    assert table.loc[rows[0], "t"] == pytest.approx(0.15 / (0.05 / math.sqrt(3)))
    assert table.loc[rows[2], "t"] == pytest.approx(0.15 / (0.05 / math.sqrt(3)))
    assert table.loc[rows[2], "difference"] == pytest.approx(0.075)
    assert table.loc[rows[3], "t"] == pytest.approx(-5 * math.sqrt(3))
    assert table.loc[rows[3], "baseline_mean"] == 20


@pytest.mark.parametrize("differences", [NOTHING, (0.07, 0.07, 0.07)])
def test_one_difference_in_all_subjects_is_no_test(
    evaluated: Evaluated,
    differences: Sequence[float],
    tmp_path: Path,
) -> None:
    baseline = evaluated(tmp_path / "a", {"x": BASE})
    other = evaluated(tmp_path / "b", {"x": plus(differences)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = compare.compare(baseline, other)
    assert table[["t", "p"]].isna().all(axis=None)
    assert (table["mark"] == "").all()
    told = compare.describe(table, ("a", "b"), 3)
    assert told.endswith("nan: all subjects differ by the same amount, so there is no t-test")


def test_one_subject_is_no_test(
    evaluated: Evaluated,
    tmp_path: Path,
) -> None:
    baseline = evaluated(tmp_path / "a", {"x": [0.5]}, [3], ["s0"])
    other = evaluated(tmp_path / "b", {"x": [0.75]}, [2], ["s0"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = compare.compare(baseline, other)
        compare.write(baseline, other, table, tmp_path / "out")
    assert table["p"].isna().all()
    *_, last = compare.describe(table, ("a", "b"), 1).splitlines()
    assert last == "One subject: there is no t-test, so t and p are nan"
    assert table.loc[("dice", "x"), "difference"] == 0.25


def test_the_table_in_words(
    evaluated: Evaluated,
    tmp_path: Path,
) -> None:
    baseline = evaluated(tmp_path / "a", {"x": BASE})
    other = evaluated(tmp_path / "b", {"x": plus((0.10, 0.15, 0.20))}, (9, 20, 31))
    told = compare.describe(compare.compare(baseline, other), ("first", "second"), 3)
    lines = told.splitlines()
    assert lines[0].split() == ["first", "second", "difference", "t", "p"]
    row = "dice x 0.500 ± 0.082 0.650 ± 0.071 +0.150 5.20 0.035 *"
    assert row.split() in [line.split() for line in lines]
    assert lines[-1].startswith("** p < 0.01, * p < 0.05")


def test_box_plots_mark_improvements_alone(
    evaluated: Evaluated,
    tmp_path: Path,
) -> None:
    """Both classes differ significantly; the second run is better in the right one."""
    worse, better = plus((-0.10, -0.11, -0.12)), plus((0.10, 0.11, 0.12))
    baseline = evaluated(tmp_path / "a", {"x": BASE, "y": BASE})
    other = evaluated(tmp_path / "b", {"x": worse, "y": better})
    table = compare.compare(baseline, other)
    assert list(table.loc["dice", "mark"]) == ["**", "**"]
    compare.write(baseline, other, table, tmp_path / "out")
    picture = images.imread(io.BytesIO((tmp_path / "out" / "boxplots.png").read_bytes()))
    top = picture[: len(picture) // 8]
    _, x = np.nonzero((top[..., 0] > 0.9) & (top[..., 1] < 0.1))
    assert len(x)
    assert x.min() > picture.shape[1] / 2


def test_what_is_written(
    evaluated: Evaluated,
    tmp_path: Path,
) -> None:
    """No picture without predictions, not even one of an earlier comparison."""
    baseline = evaluated(tmp_path / "a", {"x": BASE})
    other = evaluated(tmp_path / "b", {"x": plus((0.10, 0.15, 0.20))})
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    (out / "pictures.png").write_bytes(b"old")
    table = compare.compare(baseline, other)
    written = compare.write(baseline, other, table, out)
    assert written == [out / "comparison.csv", out / "boxplots.png"]
    assert set(out.iterdir()) == set(written)
    read = pd.read_csv(out / "comparison.csv", index_col=[0, 1], keep_default_na=False)
    assert list(read.columns) == list(table.columns)
    assert float(read.loc[("dice", "x"), "p"]) == table.loc[("dice", "x"), "p"]
    assert baseline.missing_predictions() == (
        f"{tmp_path / 'a' / 'predictions'}: no label maps of the subjects to draw. Run "
        f"python launch/evaluate.py --work_dir {tmp_path / 'a'} --folds 2 --save_predictions"
    )


@pytest.mark.parametrize("orientation", ["RAS", "PIR"])
def test_label_maps_come_back_to_the_body(
    evaluated: Evaluated,
    orientation: str,
    small_dataset: Callable[..., Any],
    preprocess_here: Any,
    tmp_path: Path,
) -> None:
    """Files on the source's grid, in its values 0, 1 and 4, become class indices of the box."""
    dataset = small_dataset(tmp_path / "data", subjects=6)
    subjects = [f"s{n}" for n in range(6)]
    for name in subjects:
        path = dataset.path(name, "label")
        write_label(path, np.array([0, 1, 4])[dataset.array(name, "label")], path)
    records = tmp_path / "records"
    preprocess_here(dataset.find(), records, orientation=orientation)
    random = np.random.default_rng(0)
    baseline, other = (
        evaluated(tmp_path / name, {"x": random.uniform(size=6)}, range(6), subjects[::-1])
        for name in "ab"
    )
    baseline, other = (
        replace(run, settings=replace(run.settings, records=str(records)))
        for run in (baseline, other)
    )
    for name in subjects[:4]:
        label = dataset.array(name, "label")
        image = dataset.path(name, "t1")
        write_label(baseline.prediction(name), label, image)
        # Of the file's anterior half nothing is found.
        write_label(other.prediction(name), label * (np.indices(label.shape)[1] < 7), image)
    opened = open_record_set(records)
    found = compare.rows(baseline, other, opened)
    assert [row.title for row in found] == ["s0", "s1", "s2", "s3"]
    volumes = {v.subject: v for v in subject_volumes(opened, opened.manifest.folds)}
    spacing_mm = opened.manifest.subjects[0].working.spacing_mm
    for row in found:
        reference, first, second = row.maps
        z = next(
            z for z, label in enumerate(volumes[row.title].label) if (label == reference).all()
        )
        (image,) = row.images
        np.testing.assert_array_equal(image, volumes[row.title].image[z, ..., 0])
        np.testing.assert_array_equal(first, reference)
        assert set(np.unique(first)) == {0, 1, 2}
        assert 0 < (second > 0).sum() < (first > 0).sum()
        assert (second == first)[second > 0].all()
        assert row.aspect == spacing_mm[1] / spacing_mm[0]
    table = compare.compare(baseline, other)
    *_, pictures = compare.write(baseline, other, table, tmp_path / "out")
    assert pictures.name == "pictures.png"
    assert pictures.read_bytes().startswith(b"\x89PNG")


def test_a_record_set_without_the_subjects_is_told(
    evaluated: Evaluated,
    small_records: tuple[Any, Path],
    tmp_path: Path,
) -> None:
    run = evaluated(tmp_path / "a", {"x": BASE}, subjects=("s0", "s1", "gone"))
    with pytest.raises(UserError, match="expected the subjects gone"):
        compare.rows(run, run, open_record_set(small_records[1]))
