"""Patients are small: T2w of 24x20x6 voxels of 1x1x3 mm, ADC of 16x14x7 voxels of 2x2x3 mm."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tfrecords.errors import SettingError, UserError
from tfrecords.geometry.grid import Grid, make_grid
from tfrecords.geometry.nifti import read
from tfrecords.records.manifest import Manifest
from tfrecords.runners import parallel_map
from tfrecords.sources import layouts
from tfrecords.sources.layouts import prostate
from tfrecords.sources.prostate import annotations, preparation
from tfrecords.sources.subject import Dataset
from tfrecords.writing.preprocessing import Options, preprocess

T2W = make_grid((24, 20, 6), np.diag([1.0, 1, 3, 1]))
ADC = make_grid(
    (16, 14, 7),
    np.array([[2.0, 0, 0, -3], [0, 2, 0, -3], [0, 0, 3, -1], [0, 0, 0, 1]]),
)
FILES = {
    "t2w": "t2",
    "adc": "adc",
    "hbv": "hbv",
    "zones": "zones_A",
    "zones_2": "zones_B",
    "lesion": "lesion_human",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patients are prepared in this process, below the test's folder."""

    def map_here(
        function: Callable[[Any], Any], items: Sequence[Any], *_: object
    ) -> Iterable[tuple[int, Any]]:
        return [(number, function(items[number])) for number in reversed(range(len(items)))]

    monkeypatch.setattr(prostate, "parallel_map", map_here)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def make_and_find(data_dir: Path) -> Dataset:
    layouts.make("prostate", data_dir, workers=2, prepared_dir=Path("data/prostate"))
    return layouts.find("prostate", data_dir, prepared_dir=Path("data/prostate"))


def zones(x: float = 0, grid: Grid = T2W) -> np.ndarray:
    """Peripheral zone behind the transitional one, in T2w's slices 1 to 4, moved along x (mm)."""
    i = np.indices(grid.shape)
    px, py, pz = (i[k] * grid.spacing_mm[k] + grid.matrix[k, 3] for k in range(3))
    box = (abs(px - x - 11.5) < 6) & (py > 4) & (py < 16) & (pz > 1) & (pz < 13)
    return np.where(box, np.where(py < 10.2, 1, 2), 0).astype(np.uint8)


def lesion(grade: int, where: tuple[slice, ...] = np.s_[9:13, 6:9, 2:4]) -> np.ndarray:
    grades = np.zeros(T2W.shape, np.uint16)
    grades[where] = grade
    return grades


def images(seed: int = 0) -> dict[str, tuple[np.ndarray, Grid]]:
    random = np.random.default_rng(seed)
    return {
        kind: (random.integers(1, 1000, grid.shape).astype(np.int16), grid)
        for kind, grid in (("t2w", T2W), ("adc", ADC), ("hbv", ADC))
    }


def write(folder: Path, name: str, drawn: Mapping[str, Any], seed: int = 0) -> Path:
    """A patient in the layout of ProstateX; arrays lie on the T2w's grid unless with another."""
    place = folder / name
    place.mkdir(parents=True)
    for kind, value in {**images(seed), **drawn}.items():
        array, grid = value if isinstance(value, tuple) else (value, T2W)
        path = place / f"{name}_{FILES.get(kind, kind)}.nii.gz"
        nib.Nifti1Image(array, grid.matrix).to_filename(path)
    return place


def prepared(name: str, kind: str) -> np.ndarray:
    return read(Path(f"data/prostate/{name}/{name}_{kind}.nii.gz"))[0]


def report(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(f"data/prostate/{name}/report.json").read_text())
    return content


def listed(folder: Path, name: str, drawn: Mapping[str, Any], fold: str = "") -> Dataset:
    """The dataset of a CSV of one patient, whose `drawn` are columns."""
    place = write(folder / "scans", name, drawn)
    columns = ("t2w", "adc", "hbv", *drawn)
    row = {c: (place / f"{name}_{FILES.get(c, c)}.nii.gz").relative_to(folder) for c in columns}
    pd.DataFrame([{"subject": name, **row, "fold": fold}]).to_csv(folder / "p.csv", index=False)
    return make_and_find(folder / "p.csv")


def test_a_patient_comes_on_the_t2ws_grid_with_tumour_over_its_zones(tmp_path: Path) -> None:
    outside = np.s_[0:2, 0:2, 0:1]
    grades = lesion(2)
    grades[outside] = 5
    grades[9:13, 14:16, 2] = 1  # Not aggressive: the zone stays.
    write(tmp_path / "deep" / "er", "p1", {"zones": zones(), "lesion": grades})
    dataset = make_and_find(tmp_path)
    (subject,) = dataset.subjects
    assert dataset.modalities == ("t2w", "adc", "hbv")
    assert dataset.groups == ("aggressive", "lesion_free")
    assert [(c.name, c.labels) for c in dataset.classes] == [
        ("background", (0,)),
        ("tumour", (1,)),
        ("peripheral_zone", (2,)),
        ("transitional_zone", (3,)),
    ]
    assert (subject.name, subject.group, subject.fold) == ("p1", "aggressive", "")
    place = Path("data/prostate/p1")
    assert subject.files == tuple(place / f"p1_{k}.nii.gz" for k in ("t2w", "adc", "hbv", "seg"))
    assert all(read(path)[1].matches(T2W) for path in subject.files)
    expected = np.array([0, 2, 3])[zones()]
    expected[9:13, 6:9, 2:4] = 1
    expected[outside] = 1
    np.testing.assert_array_equal(prepared("p1", "seg"), expected)
    np.testing.assert_array_equal(prepared("p1", "t2w"), images()["t2w"][0])
    adc = prepared("p1", "adc")
    assert adc.dtype == np.int16
    # T2w's voxel (5, 5, 2) lies on ADC's (4, 4, 7/3).
    low, high = images()["adc"][0][4, 4, 2:4].astype(float)
    assert adc[5, 5, 2] == round(low + (high - low) / 3)
    assert report("p1")["lesion_voxels"] == 24 + 4
    assert report("p1")["slices_without_prostate"] == 6 - 4 - 1
    assert report("p1")["slices"] == 6


@pytest.mark.parametrize(
    ("drawn", "group", "note"),
    [
        ({}, "lesion_free", annotations.NO_LESION_MAP),
        ({"lesion": lesion(0)}, "lesion_free", None),
        ({"lesion": lesion(1)}, None, annotations.GRADE_ONE),
        ({"lesion": lesion(2)}, "aggressive", None),
        ({"lesion": lesion(0), "lesion_2": lesion(1)}, None, annotations.GRADE_ONE),
        ({"lesion": lesion(0), "lesion_2": lesion(3)}, None, annotations.SECOND_ALONE),
        ({"lesion_2": lesion(3)}, "aggressive", None),
        ({"lesion": lesion(3), "lesion_2": lesion(0)}, "aggressive", preparation.TUMOUR_LOST),
    ],
)
def test_groups(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    drawn: dict[str, np.ndarray],
    group: str | None,
    note: str | None,
) -> None:
    place = {"zones": zones(), "zones_2": zones(), **drawn}
    caplog.set_level("INFO", logger="absl")
    if group:
        (subject,) = listed(tmp_path, "p1", place).subjects
        assert subject.group == group
    else:
        with pytest.raises(UserError, match="found none"):
            listed(tmp_path, "p1", place)
    assert report("p1")["notes"] == ([note] if note else [])
    told = caplog.text
    assert not note or f"{note[0].upper()}{note[1:]}: p1" in told
    assert f"{0 if group else 1} left out" in told
    assert ("2 of 6 slices lie beside the prostate; --foreground_slices" in told) == bool(group)


def test_two_lesion_maps_are_fused_and_one_is_taken_as_it_is(tmp_path: Path) -> None:
    theirs = lesion(3, np.s_[11:15, 6:9, 2:4])
    drawn = {"zones": zones(), "zones_2": zones(), "lesion": lesion(2)}
    listed(tmp_path / "one", "p1", {**drawn})
    assert np.argwhere(prepared("p1", "seg") == 1)[[0, -1], 0].tolist() == [9, 12]
    listed(tmp_path / "two", "p1", {**drawn, "lesion_2": theirs})
    tumour = prepared("p1", "seg") == 1
    assert tumour[11:13, 6:9, 2:4].all()
    # Of what one drew, the half that is nearer to common tumour than to common zone remains.
    assert np.count_nonzero(tumour) < 4 * 3 * 2 + 2 * 3 * 2
    assert (prepared("p1", "seg") > 0).sum() == (zones() > 0).sum()


@pytest.mark.parametrize("grid", ["T2w", "ADC"])
def test_a_second_annotation_is_moved_and_takes_the_adc_with_it_if_drawn_there(
    tmp_path: Path, grid: str
) -> None:
    there = T2W if grid == "T2w" else ADC
    drawn = {"zones": zones(), "zones_2": (zones(-4, there), there)}
    listed(tmp_path, "p1", drawn)
    found = report("p1")
    # A box that lies along a grid is known to half a voxel there.
    np.testing.assert_allclose(found["shift_mm"], [4, 0, 0], atol=1.1)
    assert found["dice_after"] > found["dice_before"] + 0.2
    np.testing.assert_array_equal(prepared("p1", "t2w"), images()["t2w"][0])
    moved = prepared("p1", "adc")[3, 5, :]
    listed(tmp_path / "alone", "p1", {"zones": zones()})
    same = np.array_equal(prepared("p1", "adc")[3, 5, :], moved)
    assert same is (grid == "T2w")
    assert (prepared("p1", "adc") > 0).all()


def test_without_a_peripheral_zone_nothing_is_moved(tmp_path: Path) -> None:
    second = np.where(zones() == 1, 0, zones())
    listed(tmp_path, "p1", {"zones": zones(), "zones_2": second})
    assert report("p1")["shift_mm"] is None
    assert preparation.NO_PERIPHERAL_ZONE in report("p1")["notes"]
    assert set(np.unique(prepared("p1", "seg"))) == {0, 3}


def test_coverage_is_reported(tmp_path: Path) -> None:
    half = make_grid(
        (8, 20, 20), np.diag([1.5, 2, 2, 1]) - np.outer([0.75, 0.75, 0.75, 0], [0, 0, 0, 1])
    )  # x from -1.5 to 10.5.
    write(tmp_path, "p1", {"zones": zones(), "adc": (np.ones(half.shape, np.int16), half)})
    make_and_find(tmp_path)
    # The prostate's voxels are at 6 to 17 mm: 6 to 10 are in the field of view.
    assert report("p1")["coverage"] == {"adc": pytest.approx(5 / 12), "hbv": 1}
    assert preparation.PARTLY_COVERED in report("p1")["notes"]
    assert not prepared("p1", "adc")[12:].any()


def fault(tmp_path: Path, drawn: Mapping[str, Any]) -> str:
    """Why a patient of a CSV is not prepared; it stays a subject without files."""
    (subject,) = listed(tmp_path, "p1", drawn).subjects
    assert not any(path.exists() for path in subject.files)
    (text,) = pd.read_csv("data/prostate/report.csv")["notes"]
    return str(text)


def test_patients_that_cannot_be_prepared_say_why(tmp_path: Path) -> None:
    far = make_grid(ADC.shape, ADC.matrix + np.outer([500, 0, 0, 0], [0, 0, 0, 1]))
    z = {"zones": zones()}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"zones": (zones(0, ADC), ADC)}, "zones_A.nii.gz: expected the grid of the T2w (24x20x6"),
        ({**z, "zones_2": (zones(0, far), far)}, "zones_B.nii.gz: expected the grid of the T2w"),
        ({"zones": zones() * 2}, "expected labels from 0 to 2, received [4.0]"),
        ({**z, "lesion": lesion(6)}, "expected labels from 0 to 5, received [6.0]"),
        ({"zones": zones() * 0}, "expected a prostate, received none"),
        ({**z, "adc": (images()["adc"][0], far)}, "field of view of adc, received one outside"),
        ({**z, "hbv": np.ones((*T2W.shape, 2), np.int16)}, "expected a 3D image"),
    ]
    for number, (drawn, message) in enumerate(cases):
        assert message in fault(tmp_path / str(number), drawn), message


def test_missing_files_are_reported_by_preprocessing_and_can_be_left_out(
    tmp_path: Path, preprocess_here: Callable[..., Manifest]
) -> None:
    for number in range(4):
        place = write(tmp_path, f"p{number}", {"zones": zones()}, seed=number)
    (place / "p3_hbv.nii.gz").unlink()
    (place / "p3_zones_A.nii.gz").unlink()
    dataset = make_and_find(tmp_path)
    with pytest.raises(UserError) as raised:
        preprocess_here(dataset, Path("records"))
    assert f"p3: {place / 'p3_hbv.nii.gz'}: no such file" in str(raised.value)
    assert f"p3: {place / 'p3_zones_*.nii.gz'}: no such file" in str(raised.value)
    assert "1 of 4 subjects" in str(raised.value)
    manifest = preprocess_here(dataset, Path("records"), skip_invalid=True)
    assert len(manifest.subjects) == 3


def test_what_is_prepared_is_kept_until_a_source_changes(tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        place = write(tmp_path, name, {"zones": zones()}, seed=len(name))
    first = make_and_find(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in Path("data/prostate").glob("*/*")}
    assert len(before) == 2 * 5
    assert make_and_find(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in before} == before
    bytes_before = {path: path.read_bytes() for path in before}
    nib.Nifti1Image(lesion(3), T2W.matrix).to_filename(place / "p2_lesion_human.nii.gz")
    after = make_and_find(tmp_path)
    assert [s.group for s in after.subjects] == ["lesion_free", "aggressive"]
    changed = {path.name for path in before if path.read_bytes() != bytes_before[path]}
    assert changed == {"p2_seg.nii.gz", "report.json"}
    assert all(
        path.stat().st_mtime_ns == before[path] for path in before if path.parent.name == "p1"
    )
    # A source that is gone takes what was prepared with it.
    (place / "p2_adc.nii.gz").unlink()
    make_and_find(tmp_path)
    assert not list(Path("data/prostate/p2").iterdir())


def test_an_interrupted_patient_is_prepared_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "p1", {"zones": zones()})
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "write_json", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            make_and_find(tmp_path)
    assert not Path("data/prostate/p1/report.json").exists()
    make_and_find(tmp_path)
    Path("data/prostate/p1/p1_hbv.nii.gz").unlink()
    make_and_find(tmp_path)
    assert (prepared("p1", "hbv") > 0).any()
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "VERSION", 2)
        fingerprint = report("p1")["fingerprint"]
        make_and_find(tmp_path)
        assert report("p1")["fingerprint"] != fingerprint


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format_version": 1, "notes": 3}'])
def test_a_damaged_report_is_told_and_its_patient_prepared_anew(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "p1", {"zones": zones()})
    make_and_find(tmp_path)
    before = report("p1")
    Path("data/prostate/p1/report.json").write_text(content)
    Path("data/prostate/p1/p1_seg.nii.gz").write_bytes(b"damaged as well")
    make_and_find(tmp_path)
    assert "p1/report.json: " in caplog.text
    assert "Preprocessing prepares the patient anew." in caplog.text
    assert report("p1") == before
    assert (prepared("p1", "seg") > 0).any()


def test_folds_and_empty_cells_of_a_csv(tmp_path: Path) -> None:
    (subject,) = listed(tmp_path, "NA", {"zones": zones()}, fold="2").subjects
    assert (subject.name, subject.fold, subject.group) == ("NA", "2", "lesion_free")
    rows = pd.read_csv(tmp_path / "p.csv", keep_default_na=False).assign(lesion="", zones_2="")
    # A folder that holds the CSV alone.
    (tmp_path / "table").mkdir()
    rows = rows.replace("^scans/", "../scans/", regex=True)
    rows.to_csv(tmp_path / "table" / "p.csv", index=False)
    assert make_and_find(tmp_path / "table").subjects == (subject,)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["subject,t2w,adc,hbv", "a,b,c,d"], "expected the columns subject, t2w, adc, hbv, zones"),
        (["subject,t2w,adc,hbv,zones,t1", "a,b,c,d,e,f"], "expected the columns"),
        (["subject,t2w,adc,hbv,zones", "a,b,,d,e"], "line 2: expected a value for adc"),
        (["subject,t2w,adc,hbv,zones,lesion_2", "a,b,c,d,e,f"], "expected a value for zones_2"),
        (["subject,t2w,adc,hbv,zones", "a/b,b,c,d,e"], "line 2: subject: expected letters"),
        (["subject,t2w,adc,hbv,zones", "..,b,c,d,e"], "line 2: subject: expected letters"),
        (["subject,t2w,adc,hbv,zones,fold", "a,b,c,d,e,x/y"], "line 2: fold: expected letters"),
        (["subject,t2w,adc,hbv,zones", "a,b,c,d,e", "a,f,g,h,i"], "one patient of the name a"),
    ],
)
def test_a_csv_of_another_kind_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    (tmp_path / "p.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match=message):
        make_and_find(tmp_path)


def test_sources_where_prepared_files_are_written_are_refused_and_stay(tmp_path: Path) -> None:
    place = write(Path("data/prostate"), "p1", {"zones": zones()})
    before = {path: path.read_bytes() for path in place.iterdir()}
    row = ",".join(str(place.resolve() / f"p1_{k}.nii.gz") for k in ("t2", "adc", "hbv", "zones_A"))
    (tmp_path / "p.csv").write_text(f"subject,t2w,adc,hbv,zones\np1,{row}\n")
    for data_dir in (Path("data/prostate"), tmp_path / "p.csv"):
        with pytest.raises(UserError, match="expected sources outside of data/prostate"):
            make_and_find(data_dir)
    assert {path: path.read_bytes() for path in place.iterdir()} == before


def test_other_folders_are_refused(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match="data_dir: expected folders NAME"):
            make_and_find(folder)
    write(tmp_path, "p1", {"zones": zones(), "zones_2": zones(), "zones_C": zones()})
    with pytest.raises(UserError, match="expected one or two files of zones, received p1_zones_A"):
        make_and_find(tmp_path)


@pytest.mark.slow
def test_the_patients_of_prostatex_become_a_record_set(
    tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prostate, "parallel_map", parallel_map)
    dataset = make_and_find(real_data / "prostatex")
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


def test_cohorts_are_prepared_in_folders_of_their_own(tmp_path: Path) -> None:
    """Two of one name as well, and what lies prepared below the sources is no source."""
    for place, seed in (("one", 1), ("two", 2)):
        write(tmp_path / place / "cohort", "p1", {"zones": zones()}, seed)
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


def test_a_table_is_prepared_by_its_own_name(tmp_path: Path) -> None:
    listed(tmp_path, "p1", {"zones": zones()})
    assert prostate.prepared_dir_of(tmp_path / "p.csv").name.startswith("p-")
    assert prostate.prepared_dir_of(tmp_path).name.startswith(f"{tmp_path.name}-")


def test_finding_makes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "p1", {"zones": zones()})
    (subject,) = layouts.find("prostate", tmp_path).subjects
    assert not any(path.exists() for path in subject.files)
    assert not Path("data").exists()


def test_only_what_is_prepared_can_have_a_folder_for_it(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="prepared_dir: expected a dataset that is prepared"):
        layouts.make("brats", tmp_path, workers=1, prepared_dir=tmp_path)
