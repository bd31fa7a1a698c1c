"""Prostate patients as a dataset."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfrecords.errors import SettingError, UserError
from tfrecords.geometry.nifti import read
from tfrecords.records.manifest import Manifest
from tfrecords.runners import parallel_map
from tfrecords.sources import layouts
from tfrecords.sources.layouts import prostate
from tfrecords.writing.preprocessing import Options, preprocess


def test_a_patient_comes_on_the_t2ws_grid_with_tumour_over_its_zones(
    patients: Any, tmp_path: Path
) -> None:
    outside = np.s_[0:2, 0:2, 0:1]
    grades = patients.lesion(2)
    grades[outside] = 5
    grades[9:13, 14:16, 2] = 1  # Not aggressive: the zone stays.
    patients.write(tmp_path / "deep" / "er", "p1", {"zones": patients.zones(), "lesion": grades})
    dataset = patients.make_and_find(tmp_path)
    (subject,) = dataset.subjects
    assert dataset.modalities == ("t2w", "adc", "hbv")
    assert dataset.groups == ("aggressive", "lesion_free")
    assert dataset.favoured == ("tumour",)
    assert [(c.name, c.labels) for c in dataset.classes] == [
        ("background", (0,)),
        ("tumour", (1,)),
        ("peripheral_zone", (2,)),
        ("transitional_zone", (3,)),
    ]
    assert (subject.name, subject.group, subject.fold) == ("p1", "aggressive", "")
    place = Path("data/prostate/p1")
    assert subject.files == tuple(place / f"p1_{k}.nii.gz" for k in ("t2w", "adc", "hbv", "seg"))
    assert all(read(path)[1].matches(patients.T2W) for path in subject.files)
    expected = np.array([0, 2, 3])[patients.zones()]
    expected[9:13, 6:9, 2:4] = 1
    expected[outside] = 1
    np.testing.assert_array_equal(patients.prepared("p1", "seg"), expected)
    np.testing.assert_array_equal(patients.prepared("p1", "t2w"), patients.images()["t2w"][0])
    adc = patients.prepared("p1", "adc")
    assert adc.dtype == np.int16
    # T2w's voxel (5, 5, 2) lies on patients.ADC's (4, 4, 7/3).
    low, high = patients.images()["adc"][0][4, 4, 2:4].astype(float)
    assert adc[5, 5, 2] == round(low + (high - low) / 3)
    assert patients.report("p1")["lesion_voxels"] == 24 + 4
    assert patients.report("p1")["slices_without_prostate"] == 6 - 4 - 1
    assert patients.report("p1")["slices"] == 6


def test_missing_files_are_reported_by_preprocessing_and_can_be_left_out(
    patients: Any, tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    for number in range(4):
        place = patients.write(tmp_path, f"p{number}", {"zones": patients.zones()}, seed=number)
    (place / "p3_hbv.nii.gz").unlink()
    (place / "p3_zones_A.nii.gz").unlink()
    dataset = patients.make_and_find(tmp_path)
    with pytest.raises(UserError) as raised:
        preprocess_here(dataset, Path("records"))
    assert f"p3: {place / 'p3_hbv.nii.gz'}: no such file" in str(raised.value)
    assert f"p3: {place / 'p3_zones_*.nii.gz'}: no such file" in str(raised.value)
    assert "1 of 4 subjects" in str(raised.value)
    manifest = preprocess_here(dataset, Path("records"), skip_invalid=True)
    assert len(manifest.subjects) == 3


@pytest.mark.slow
def test_the_patients_of_prostatex_become_a_record_set(
    patients: Any, tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prostate, "parallel_map", parallel_map)
    dataset = patients.make_and_find(real_data / "prostatex")
    aggressive = {s.name[-4:] for s in dataset.subjects if s.group == "aggressive"}
    assert (len(dataset.subjects), aggressive) == (6, {"0000", "0005"})
    table = pd.read_csv("data/prostate/report.csv")
    assert (table["dice_after"] >= table["dice_before"]).all()
    assert (table["adc_coverage"] == 1).all()
    assert table["notes"].isna().all()
    manifest = preprocess(dataset, tmp_path / "records", replace(Options(), folds=2))
    counts = dict(zip((c.name for c in manifest.classes), manifest.class_voxels, strict=True))
    assert counts["tumour"] == table["lesion_voxels"].sum() > 0
    assert counts["peripheral_zone"] > 1000 < counts["transitional_zone"]


def test_cohorts_are_prepared_in_folders_of_their_own(patients: Any, tmp_path: Path) -> None:
    """Two of one name as well, and what lies prepared below the sources is no source."""
    for place, seed in (("one", 1), ("two", 2)):
        patients.write(tmp_path / place / "cohort", "p1", {"zones": patients.zones()}, seed)
        layouts.make("prostate", tmp_path / place / "cohort", workers=1)
    folders = [prostate.prepared_dir_of(tmp_path / place / "cohort") for place in ("one", "two")]
    assert [folder.parent for folder in folders] == [Path("data/prostate")] * 2
    assert all(re.fullmatch("cohort-[0-9a-f]{8}", folder.name) for folder in folders)
    assert sorted(Path("data/prostate").iterdir()) == sorted(folders)
    first, second = (read(folder / "p1" / "p1_t2w.nii.gz")[0] for folder in folders)
    assert (first != second).any()
    (subject,) = layouts.find("prostate", tmp_path / "one" / "cohort").subjects
    assert subject.images[0] == folders[0] / "p1" / "p1_t2w.nii.gz"
    with pytest.raises(UserError, match="expected one patient of the name p1"):
        layouts.find("prostate", tmp_path)
    inside = tmp_path / "one" / "cohort" / "prepared"
    for _ in range(2):
        layouts.make("prostate", tmp_path / "one" / "cohort", workers=1, prepared_dir=inside)
        found = layouts.find("prostate", tmp_path / "one" / "cohort", prepared_dir=inside)
        assert [subject.label for subject in found.subjects] == [inside / "p1" / "p1_seg.nii.gz"]
    # With the folder of another run in it, too.
    assert len(layouts.find("prostate", tmp_path / "one" / "cohort").subjects) == 1


def test_a_table_is_prepared_by_its_own_name(patients: Any, tmp_path: Path) -> None:
    patients.listed(tmp_path, "p1", {"zones": patients.zones()})
    assert prostate.prepared_dir_of(tmp_path / "p.csv").name.startswith("p-")
    assert prostate.prepared_dir_of(tmp_path).name.startswith(f"{tmp_path.name}-")


def test_finding_makes_nothing(patients: Any, tmp_path: Path) -> None:
    patients.write(tmp_path, "p1", {"zones": patients.zones()})
    (subject,) = layouts.find("prostate", tmp_path).subjects
    assert not any(path.exists() for path in subject.files)
    assert not Path("data").exists()


def test_only_what_is_prepared_can_have_a_folder_for_it(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="prepared_dir: expected a dataset that is prepared"):
        layouts.make("brats", tmp_path, workers=1, prepared_dir=tmp_path)
