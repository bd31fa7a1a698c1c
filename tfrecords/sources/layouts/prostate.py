"""Prostate cancer: T2w, ADC and a high b-value, annotated by one or two readers, in one grid.

`--data_dir` is one of:

- the layout of ProstateX in PI-CAI, anywhere below a folder: `NAME/NAME_t2.nii.gz`, `_adc`, `_hbv`,
  one or two `_zones_READER.nii.gz` (1 peripheral, 2 transitional zone; readers in the order of
  their names) and `_lesion_human.nii.gz` (ISUP grades; may be empty or missing);
- a CSV, or a folder with a single one: the columns `subject`, `t2w`, `adc`, `hbv`, `zones`, and
  optionally `zones_2`, `lesion`, `lesion_2`, `fold`, which may be empty. Paths are relative to it.

The first reader's `zones` and `lesion` lie on the T2w's grid, the second's on the T2w's or on the
ADC's. Every patient is prepared once, in the folder `--prepared_dir`, as Kohl et al. 2017 describe:

- ADC and b-value are brought to the T2w's grid, zero outside of their field of view;
- the second annotation is registered to the first by the translation that maximises the overlap of
  their peripheral zones. Drawn on the ADC, it takes ADC and b-value with it;
- both are fused by consensus (`registration.fuse`, our reading of the paper's words). Tumour is
  what both drew, if both drew lesion maps, else what one of them did; it overrides the zones.

Tumour is ISUP grade 2 and more (Gleason score 7 and more). Groups: aggressive patients have tumour
in the first reader's lesion map (the second's, if it is the only one), lesion-free ones no lesion
of any grade. The rest, with lesions of ISUP grade 1 alone or tumour that only the second reader
drew, is in neither group and left out. A patient who cannot be prepared stays a subject, without
its prepared files, so that preprocessing reports it, or leaves it out by `--skip_invalid`.
"""

import hashlib
from functools import partial
from operator import attrgetter
from pathlib import Path

import pandas as pd

from tfrecords.errors import UserError
from tfrecords.files import write_file
from tfrecords.runners import parallel_map
from tfrecords.sources.prostate.annotations import CLASSES, GROUPS, TUMOUR
from tfrecords.sources.prostate.outcome import PatientOutcome, log_summary, table_row
from tfrecords.sources.prostate.preparation import keep_or_prepare, prepared_file, read_outcome
from tfrecords.sources.prostate.sources import MODALITIES, Patient, find_patients
from tfrecords.sources.subject import Dataset, LabelClass, Subject

PREPARED_DIR = Path("data/prostate")


def prepared_dir_of(data_dir: Path | None) -> Path:
    """A folder in PREPARED_DIR, by the sources' name and place: no two cohorts share one."""
    place = (data_dir or Path()).resolve()
    name = place.stem if place.is_file() else place.name
    return PREPARED_DIR / f"{name}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"


def make(data_dir: Path | None, workers: int, prepared_dir: Path | None = None) -> None:
    """Prepares all patients that are not prepared from the same files yet, and tells of all.

    Raises:
        UserError: neither of the layouts, or patients of one name.
    """
    folder = prepared_dir or prepared_dir_of(data_dir)
    patients = find_patients(data_dir, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: expected a folder to write to ({error})") from error
    prepare = partial(keep_or_prepare, folder=folder)
    found = dict(
        parallel_map(
            prepare, patients, workers, "Preparing patients", named=attrgetter("name"), lost=_lost
        )
    )
    outcomes = {patient.name: found[index] for index, patient in enumerate(patients)}
    path = folder / "report.csv"
    table = pd.DataFrame([table_row(name, outcome) for name, outcome in outcomes.items()])
    write_file(path, table.to_csv(index=False).encode())
    log_summary(outcomes, path)


def find(data_dir: Path | None, prepared_dir: Path | None = None) -> Dataset:
    """All patients of the two groups, and those who are not prepared.

    Raises:
        UserError: neither of the layouts, or patients of one name.
    """
    folder = prepared_dir or prepared_dir_of(data_dir)
    patients = find_patients(data_dir, folder)
    outcomes = [read_outcome(folder / patient.name) for patient in patients]
    return Dataset(
        "prostate",
        MODALITIES,
        tuple(LabelClass(name, (value,)) for value, name in enumerate(CLASSES)),
        tuple(
            _subject(patient, outcome, folder / patient.name)
            for patient, outcome in zip(patients, outcomes, strict=True)
            if outcome is None or outcome.group
        ),
        groups=GROUPS,
        favoured=(CLASSES[TUMOUR],),
    )


def _subject(patient: Patient, outcome: PatientOutcome | None, place: Path) -> Subject:
    """Of a patient whose files are missing these, else the prepared ones, which may be missing."""
    missing = tuple(path for path in patient.files.values() if not path.is_file())
    images = missing or tuple(prepared_file(place, modality) for modality in MODALITIES)
    group = outcome.group if outcome else GROUPS[0]
    return Subject(patient.name, images, prepared_file(place, "seg"), group, patient.fold)


def _lost(patient: Patient, ended_by: str) -> PatientOutcome:
    """Of a patient whose files end the process that reads them."""
    files = ", ".join(map(str, patient.files.values()))
    return PatientOutcome(fault=f"{files}: reading them ended the process by {ended_by}")
