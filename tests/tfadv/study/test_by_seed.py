"""The table of seeds."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfadv.evaluation import measures
from tfadv.inference.targets import averaged_regions
from tfadv.study import by_seed
from tfrecords.reading.record_set import RecordSet, open_record_set


@pytest.fixture(scope="module")
def records(small_records: tuple[object, Path]) -> RecordSet:
    return open_record_set(small_records[1])


def results(first: str, second: str) -> pd.DataFrame:
    """Of two regions and their mean, two subjects: of two seeds of `plain`, the second without
    probabilities, and of one of `late`."""
    rows = []
    for line, seed, dice, error in (
        ("plain", 0, (0.8, 0.9), (-0.5, 0.3)),
        ("plain", 1, (0.7, 0.6), (0.25, -0.25)),
        ("late", 0, (0.5, 0.25), (1.0, 0.0)),
    ):
        for place in (0, 1):
            scores = dict.fromkeys(measures.names(), 1.0)
            scores |= {"dice": dice[place], "volume_error": error[place]}
            scores["brier"] = np.nan if seed else 0.01 * (1 + place)
            about = {"line": line, "seed": seed, "fraction": 1.0, "subject": f"s{place}"}
            of = ("mean", first, second)
            rows += [about | scores | {"region": region} for region in of]
    table = pd.DataFrame(rows)
    table.loc[table["region"] == first, "dice"] += 0.1
    table.loc[table["region"] == second, "volume_error"] *= -1
    table.loc[table["region"] == "mean", "volume_error"] = 0.0
    return table


def material(records: RecordSet, lines: list[str]) -> Any:
    found = results(*averaged_regions(records.manifest))
    return SimpleNamespace(results=found, lines=lines, fractions=[1.0, 0.5], records=records)


def cells(row: list[str], *names: str) -> list[str]:
    return [dict(zip(by_seed.titles(), row, strict=True))[name] for name in names]


def test_a_line_is_the_mean_and_the_range_of_its_seeds(records: RecordSet) -> None:
    """Seeds have 0.85 and 0.65; sizes of errors have 0.4 and 0.25, where signs have -0.1 and 0."""
    plain, late = by_seed.rows(material(records, ["plain", "late"]), "mean")
    assert plain[:4] == ["100 %", "plain", "2", "0.750 (0.650 to 0.850)"]
    assert cells(plain, "relative volume error, absolute") == ["0.325 (0.250 to 0.400)"]
    assert cells(plain, "components", "Brier score") == ["1.0 (1.0 to 1.0)", "0.0150"]
    assert late[:4] == ["100 %", "late", "1", "0.375"]
    assert cells(late, "relative volume error, absolute") == ["0.500"]


def test_rows_are_in_the_lines_order_and_of_one_region(records: RecordSet) -> None:
    region = averaged_regions(records.manifest)[0]
    late, plain = by_seed.rows(material(records, ["late", "plain"]), region)
    assert late[1:4] == ["late", "1", "0.475"]
    assert plain[1:4] == ["plain", "2", "0.850 (0.750 to 0.950)"]
    assert cells(plain, "relative volume error, absolute") == ["0.325 (0.250 to 0.400)"]


def test_what_no_seed_has_is_empty(records: RecordSet) -> None:
    without = material(records, ["plain"])
    without.results["brier"] = np.nan
    (row,) = by_seed.rows(without, "mean")
    assert cells(row, "Brier score") == [""]


def test_volumes_in_ml_say_nothing_of_seeds() -> None:
    assert not [title for title in by_seed.titles() if "ml" in title]
    assert {"components", "Euler characteristic", "expected calibration error"} < set(
        by_seed.titles()
    )
