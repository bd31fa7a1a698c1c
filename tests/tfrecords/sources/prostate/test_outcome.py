"""What became of each patient, told."""

from pathlib import Path

import pytest

from tfrecords.sources.prostate.outcome import PatientOutcome, log_summary, table_row

MOVED = PatientOutcome(
    group="aggressive",
    notes=("far away", "dark"),
    shift_mm=(1.0, -2.0, 0.5),
    dice_before=0.25,
    dice_after=0.75,
    slices=20,
    slices_without_prostate=4,
    coverage={"adc": 0.5, "hbv": 1.0},
    lesion_voxels=7,
)


def test_a_row_holds_what_is_known() -> None:
    row = table_row("p1", MOVED)
    assert (row["patient"], row["group"], row["lesion_voxels"]) == ("p1", "aggressive", 7)
    assert [row[f"shift_{axis}_mm"] for axis in "xyz"] == [1.0, -2.0, 0.5]
    assert (row["adc_coverage"], row["hbv_coverage"]) == (0.5, 1.0)
    assert row["notes"] == "far away; dark"
    fault = table_row("p2", PatientOutcome(fault="no such file"))
    assert row.keys() == fault.keys()
    assert fault["notes"] == "no such file"
    assert fault["shift_x_mm"] is None


def test_lines_count_groups_and_name_some_patients_of_each_note(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="absl")
    outcomes = {f"p{number}": MOVED for number in range(7)}
    outcomes |= {"q": PatientOutcome(), "r": PatientOutcome(fault="no such file")}
    log_summary(outcomes, Path("report.csv"))
    assert [record.getMessage() for record in caplog.records] == [
        "9 patients: 7 aggressive, 0 lesion_free, 1 left out, 1 not prepared. See report.csv.",
        "28 of 140 slices lie beside the prostate; --foreground_slices skips them.",
        "Registration of 7 second annotations: median Dice of the peripheral zone 0.250 before, "
        "0.750 after.",
        "Cannot be prepared: r (no such file).",
        "Far away: p0, p1, p2, p3, p4 and 2 more.",
        "Dark: p0, p1, p2, p3, p4 and 2 more.",
    ]
