"""Where the files of patients are."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tfrecords.errors import UserError


def test_folds_and_empty_cells_of_a_csv(patients: Any, tmp_path: Path) -> None:
    (subject,) = patients.listed(tmp_path, "NA", {"zones": patients.zones()}, fold="2").subjects
    assert (subject.name, subject.fold, subject.group) == ("NA", "2", "lesion_free")
    rows = pd.read_csv(tmp_path / "p.csv", keep_default_na=False).assign(lesion="", zones_2="")
    # A folder that holds the CSV alone.
    (tmp_path / "table").mkdir()
    rows = rows.replace("^scans/", "../scans/", regex=True)
    rows.to_csv(tmp_path / "table" / "p.csv", index=False)
    assert patients.make_and_find(tmp_path / "table").subjects == (subject,)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["subject,t2w,adc,hbv", "a,b,c,d"], "expected the columns subject, t2w, adc, hbv, zones"),
        (["subject,t2w,adc,hbv,zones,t1", "a,b,c,d,e,f"], "expected the columns"),
        (["subject,t2w,adc,hbv,zones", "a,b,,d,e"], "line 2: expected a value for adc"),
        (["subject,t2w,adc,hbv,zones,lesion_2", "a,b,c,d,e,f"], "expected a value for zones_2"),
        (["subject,t2w,adc,hbv,zones", "a/b,b,c,d,e"], "p.csv: subjects: expected a name"),
        (["subject,t2w,adc,hbv,zones", "..,b,c,d,e"], "p.csv: subjects: expected a name"),
        (["subject,t2w,adc,hbv,zones,fold", "a,b,c,d,e,x/y"], "p.csv: folds: a: expected a name"),
        (["subject,t2w,adc,hbv,zones", "a,b,c,d,e", "a,f,g,h,i"], "one patient of the name a"),
        (["subject,t2w,adc,hbv,zones", "a,b,c,c,e"], "p.csv: subjects: a: .*/c several times"),
        (["subject;t2w;adc;hbv;zones", "a;b;c;d"], "line 2: expected a value for zones"),
    ],
)
def test_a_csv_of_another_kind_is_refused(
    patients: Any, tmp_path: Path, lines: list[str], message: str
) -> None:
    (tmp_path / "p.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match=message):
        patients.make_and_find(tmp_path)


def test_sources_where_prepared_files_are_written_are_refused_and_stay(
    patients: Any, tmp_path: Path
) -> None:
    place = patients.write(Path("data/prostate"), "p1", {"zones": patients.zones()})
    before = {path: path.read_bytes() for path in place.iterdir()}
    row = ",".join(str(place.resolve() / f"p1_{k}.nii.gz") for k in ("t2", "adc", "hbv", "zones_A"))
    (tmp_path / "p.csv").write_text(f"subject,t2w,adc,hbv,zones\np1,{row}\n")
    for data_dir in (Path("data/prostate"), tmp_path / "p.csv"):
        with pytest.raises(UserError, match="expected sources outside of data/prostate"):
            patients.make_and_find(data_dir)
    assert {path: path.read_bytes() for path in place.iterdir()} == before


def test_other_folders_are_refused(patients: Any, tmp_path: Path) -> None:
    for folder in (None, tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match="data_dir: expected folders NAME"):
            patients.make_and_find(folder)
    patients.write(
        tmp_path,
        "p1",
        {"zones": patients.zones(), "zones_2": patients.zones(), "zones_C": patients.zones()},
    )
    with pytest.raises(UserError, match="expected one or two files of zones, received p1_zones_A"):
        patients.make_and_find(tmp_path)
