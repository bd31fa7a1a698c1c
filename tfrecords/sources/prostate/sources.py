"""Where the files of prostate patients are: the layout of ProstateX, or a CSV."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from tfrecords.errors import UserError, about
from tfrecords.sources.subject import require_subject
from tfrecords.sources.tables import find_csv, read_rows

REPORT = "report.json"  # Of a prepared patient, beside the files for which it vouches.
MODALITIES = ("t2w", "adc", "hbv")
REQUIRED = (*MODALITIES, "zones")
OPTIONAL = ("zones_2", "lesion", "lesion_2")


@dataclass(frozen=True)
class Patient:
    """A patient's source files, by the columns of the CSV."""

    name: str
    files: Mapping[str, Path]
    fold: str = ""


def find_patients(data_dir: Path | None, prepared_dir: Path) -> list[Patient]:
    """All patients of which there is a file, but for those that lie prepared somewhere.

    Raises:
        UserError: neither of the layouts, patients of one name, a name that no file can have, a
            file for two purposes, or sources in `prepared_dir`.
    """
    patients = _prostatex(data_dir, prepared_dir) if data_dir and data_dir.is_dir() else []
    patients = patients or _listed(
        find_csv(data_dir, "prostate", "folders NAME with NAME_t2.nii.gz, ")
    )
    places: dict[str, Path] = {}
    for patient in patients:
        place = patient.files["t2w"]
        if patient.name in places:
            raise UserError(
                f"{place}: expected one patient of the name {patient.name}, received "
                f"{places[patient.name]}, too"
            )
        places[patient.name] = place
        if inside := [path for path in patient.files.values() if _is_in(prepared_dir, path)]:
            raise UserError(
                f"{inside[0]}: expected sources outside of {prepared_dir}, where prepared files "
                "are written and would replace them. Move the sources"
            )
    return patients


def _is_in(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _prostatex(folder: Path, prepared_dir: Path) -> list[Patient]:
    """Folders with a file of any kind that begins with the folder's name."""
    found = (Path(root) for root, _, _ in os.walk(folder, followlinks=True))
    # Around or beside the sources, prepared patients may lie, of this cohort or another.
    places = (
        place
        for place in found
        if not (place / REPORT).is_file()
        and (_is_in(prepared_dir, folder) or not _is_in(prepared_dir, place))
    )
    kinds = ("t2", "adc", "hbv", "zones_*")
    return [
        _prostatex_patient(place)
        for place in sorted(places)
        if any(any(place.glob(f"{escape(place.name)}_{kind}.nii.gz")) for kind in kinds)
    ]


def _prostatex_patient(place: Path) -> Patient:
    zones = sorted(place.glob(f"{escape(place.name)}_zones_*.nii.gz"))
    if len(zones) > 2:
        raise UserError(
            f"{place}: expected one or two files of zones, received "
            f"{', '.join(path.name for path in zones)}. Move those that are not wanted elsewhere"
        )
    start = f"{place.name}_"
    files = {
        "t2w": place / f"{start}t2.nii.gz",
        "adc": place / f"{start}adc.nii.gz",
        "hbv": place / f"{start}hbv.nii.gz",
        "zones": place / f"{start}zones_*.nii.gz",
        **dict(zip(("zones", "zones_2"), zones, strict=False)),
    }
    if (lesion := place / f"{start}lesion_human.nii.gz").is_file():
        files["lesion"] = lesion
    with about(place):
        require_subject(place.name, "", files.values())
    return Patient(place.name, files)


def _listed(path: Path) -> list[Patient]:
    rows = read_rows(path)
    known = {"subject", *REQUIRED, *OPTIONAL, "fold"}
    if not {"subject", *REQUIRED} <= set(rows.columns) <= known:
        raise UserError(
            f"{path}: expected the columns subject, {', '.join(REQUIRED)}, and optionally "
            f"{', '.join(OPTIONAL)}, fold, received {list(rows.columns)!r:.300}"
        )
    return [
        _listed_patient(path, line, {str(k): v for k, v in row.items() if isinstance(v, str)})
        for line, row in zip(rows.index, rows.to_dict("records"), strict=True)
    ]


def _listed_patient(path: Path, line: int, row: Mapping[str, str]) -> Patient:
    """Of a row without its empty fields."""
    required = ["subject", *REQUIRED, *(["zones_2"] if "lesion_2" in row else [])]
    if missing := [column for column in required if column not in row]:
        raise UserError(f"{path}: line {line}: expected a value for {missing[0]}, received none")
    files = {k: path.parent / row[k] for k in (*REQUIRED, *OPTIONAL) if k in row}
    fold = row.get("fold", "")
    with about(path):
        require_subject(row["subject"], fold, files.values())
    return Patient(row["subject"], files, fold)
