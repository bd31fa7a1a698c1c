"""Patients are prepared once, and say what became of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tfrecords.geometry.grid import make_grid
from tfrecords.sources.prostate import preparation


def test_coverage_is_reported(patients: Any, tmp_path: Path) -> None:
    half = make_grid(
        (8, 20, 20), np.diag([1.5, 2, 2, 1]) - np.outer([0.75, 0.75, 0.75, 0], [0, 0, 0, 1])
    )  # x from -1.5 to 10.5.
    patients.write(
        tmp_path, "p1", {"zones": patients.zones(), "adc": (np.ones(half.shape, np.int16), half)}
    )
    patients.make_and_find(tmp_path)
    # The prostate's voxels are at 6 to 17 mm: 6 to 10 are in the field of view.
    assert patients.report("p1")["coverage"] == {"adc": pytest.approx(5 / 12), "hbv": 1}
    assert preparation.PARTLY_COVERED in patients.report("p1")["notes"]
    assert not patients.prepared("p1", "adc")[12:].any()


def fault(patients: Any, tmp_path: Path, drawn: Mapping[str, Any]) -> str:
    """Why a patient of a CSV is not prepared; it stays a subject without files."""
    (subject,) = patients.listed(tmp_path, "p1", drawn).subjects
    assert not any(path.exists() for path in subject.files)
    (text,) = pd.read_csv("data/prostate/report.csv")["notes"]
    return str(text)


def test_patients_that_cannot_be_prepared_say_why(patients: Any, tmp_path: Path) -> None:
    far = make_grid(
        patients.ADC.shape, patients.ADC.matrix + np.outer([500, 0, 0, 0], [0, 0, 0, 1])
    )
    z = {"zones": patients.zones()}
    cases: list[tuple[dict[str, Any], str]] = [
        (
            {"zones": (patients.zones(0, patients.ADC), patients.ADC)},
            "zones_A.nii.gz: expected the grid of the T2w (24x20x6",
        ),
        (
            {**z, "zones_2": (patients.zones(0, far), far)},
            "zones_B.nii.gz: expected the grid of the T2w",
        ),
        ({"zones": patients.zones() * 2}, "expected labels from 0 to 2, received [4.0]"),
        ({**z, "lesion": patients.lesion(6)}, "expected labels from 0 to 5, received [6.0]"),
        ({"zones": patients.zones() * 0}, "expected a prostate, received none"),
        (
            {**z, "adc": (patients.images()["adc"][0], far)},
            "field of view of adc, received one outside",
        ),
        ({**z, "hbv": np.ones((*patients.T2W.shape, 2), np.int16)}, "expected a 3D image"),
    ]
    for number, (drawn, message) in enumerate(cases):
        assert message in fault(patients, tmp_path / str(number), drawn), message


def test_what_is_prepared_is_kept_until_a_source_changes(patients: Any, tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        place = patients.write(tmp_path, name, {"zones": patients.zones()}, seed=len(name))
    first = patients.make_and_find(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in Path("data/prostate").glob("*/*")}
    assert len(before) == 2 * 5
    assert patients.make_and_find(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in before} == before
    bytes_before = {path: path.read_bytes() for path in before}
    nib.Nifti1Image(patients.lesion(3), patients.T2W.matrix).to_filename(
        place / "p2_lesion_human.nii.gz"
    )
    after = patients.make_and_find(tmp_path)
    assert [s.group for s in after.subjects] == ["lesion_free", "aggressive"]
    changed = {path.name for path in before if path.read_bytes() != bytes_before[path]}
    assert changed == {"p2_seg.nii.gz", "report.json"}
    assert all(
        path.stat().st_mtime_ns == before[path] for path in before if path.parent.name == "p1"
    )
    # A source that is gone takes what was prepared with it.
    (place / "p2_adc.nii.gz").unlink()
    patients.make_and_find(tmp_path)
    assert not list(Path("data/prostate/p2").iterdir())


def test_an_interrupted_patient_is_prepared_anew(
    patients: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients.write(tmp_path, "p1", {"zones": patients.zones()})
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "write_json", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            patients.make_and_find(tmp_path)
    assert not Path("data/prostate/p1/report.json").exists()
    patients.make_and_find(tmp_path)
    Path("data/prostate/p1/p1_hbv.nii.gz").unlink()
    patients.make_and_find(tmp_path)
    assert (patients.prepared("p1", "hbv") > 0).any()
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "VERSION", 2)
        fingerprint = patients.report("p1")["fingerprint"]
        patients.make_and_find(tmp_path)
        assert patients.report("p1")["fingerprint"] != fingerprint


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format_version": 1, "notes": 3}'])
def test_a_damaged_report_is_told_and_its_patient_prepared_anew(
    patients: Any, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    patients.write(tmp_path, "p1", {"zones": patients.zones()})
    patients.make_and_find(tmp_path)
    before = patients.report("p1")
    Path("data/prostate/p1/report.json").write_text(content)
    Path("data/prostate/p1/p1_seg.nii.gz").write_bytes(b"damaged as well")
    patients.make_and_find(tmp_path)
    assert "p1/report.json: " in caplog.text
    assert "Preprocessing prepares the patient anew." in caplog.text
    assert patients.report("p1") == before
    assert (patients.prepared("p1", "seg") > 0).any()
