"""What becomes of what readers drew."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfrecords.errors import UserError
from tfrecords.sources.prostate import annotations, preparation


@pytest.mark.parametrize(
    ("grades", "group", "note"),
    [
        ({}, "lesion_free", annotations.NO_LESION_MAP),
        ({"lesion": 0}, "lesion_free", None),
        ({"lesion": 1}, None, annotations.GRADE_ONE),
        ({"lesion": 2}, "aggressive", None),
        ({"lesion": 0, "lesion_2": 1}, None, annotations.GRADE_ONE),
        ({"lesion": 0, "lesion_2": 3}, None, annotations.SECOND_ALONE),
        ({"lesion_2": 3}, "aggressive", None),
        ({"lesion": 3, "lesion_2": 0}, "aggressive", preparation.TUMOUR_LOST),
    ],
)
def test_groups(
    patients: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    grades: dict[str, int],
    group: str | None,
    note: str | None,
) -> None:
    drawn = {kind: patients.lesion(grade) for kind, grade in grades.items()}
    place = {"zones": patients.zones(), "zones_2": patients.zones(), **drawn}
    caplog.set_level("INFO", logger="absl")
    if group:
        (subject,) = patients.listed(tmp_path, "p1", place).subjects
        assert subject.group == group
    else:
        with pytest.raises(UserError, match="found none"):
            patients.listed(tmp_path, "p1", place)
    assert patients.report("p1")["notes"] == ([note] if note else [])
    told = caplog.text
    assert not note or f"{note[0].upper()}{note[1:]}: p1" in told
    assert f"{0 if group else 1} left out" in told
    assert ("2 of 6 slices lie beside the prostate; --foreground_slices" in told) == bool(group)


def test_two_lesion_maps_are_fused_and_one_is_taken_as_it_is(patients: Any, tmp_path: Path) -> None:
    theirs = patients.lesion(3, np.s_[11:15, 6:9, 2:4])
    drawn = {"zones": patients.zones(), "zones_2": patients.zones(), "lesion": patients.lesion(2)}
    patients.listed(tmp_path / "one", "p1", {**drawn})
    assert np.argwhere(patients.prepared("p1", "seg") == 1)[[0, -1], 0].tolist() == [9, 12]
    patients.listed(tmp_path / "two", "p1", {**drawn, "lesion_2": theirs})
    tumour = patients.prepared("p1", "seg") == 1
    assert tumour[11:13, 6:9, 2:4].all()
    # Of what one drew, the half that is nearer to common tumour than to common zone remains.
    assert np.count_nonzero(tumour) < 4 * 3 * 2 + 2 * 3 * 2
    assert (patients.prepared("p1", "seg") > 0).sum() == (patients.zones() > 0).sum()


@pytest.mark.parametrize("grid", ["T2w", "ADC"])
def test_a_second_annotation_is_moved_and_takes_the_adc_with_it_if_drawn_there(
    patients: Any, tmp_path: Path, grid: str
) -> None:
    there = patients.T2W if grid == "T2w" else patients.ADC
    drawn = {"zones": patients.zones(), "zones_2": (patients.zones(-4, there), there)}
    patients.listed(tmp_path, "p1", drawn)
    found = patients.report("p1")
    # A box that lies along a grid is known to half a voxel there.
    np.testing.assert_allclose(found["shift_mm"], [4, 0, 0], atol=1.1)
    assert found["dice_after"] > found["dice_before"] + 0.2
    np.testing.assert_array_equal(patients.prepared("p1", "t2w"), patients.images()["t2w"][0])
    moved = patients.prepared("p1", "adc")[3, 5, :]
    patients.listed(tmp_path / "alone", "p1", {"zones": patients.zones()})
    same = np.array_equal(patients.prepared("p1", "adc")[3, 5, :], moved)
    assert same is (grid == "T2w")
    assert (patients.prepared("p1", "adc") > 0).all()


def test_without_a_peripheral_zone_nothing_is_moved(patients: Any, tmp_path: Path) -> None:
    second = np.where(patients.zones() == 1, 0, patients.zones())
    patients.listed(tmp_path, "p1", {"zones": patients.zones(), "zones_2": second})
    assert patients.report("p1")["shift_mm"] is None
    assert preparation.NO_PERIPHERAL_ZONE in patients.report("p1")["notes"]
    assert set(np.unique(patients.prepared("p1", "seg"))) == {0, 3}
