"""Preparing a patient: one grid, one label map, written as plain volumes, once."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from absl import logging

from tfrecords.errors import UserError
from tfrecords.files import file_checksum, read_json, write_json
from tfrecords.geometry import registration
from tfrecords.geometry.grid import Grid
from tfrecords.geometry.nifti import read_image, write_image
from tfrecords.geometry.registration import Registration
from tfrecords.geometry.resample import NO_SHIFT, Shift, to_grid
from tfrecords.sources.prostate import annotations
from tfrecords.sources.prostate.annotations import GROUPS, TUMOUR
from tfrecords.sources.prostate.outcome import PatientOutcome
from tfrecords.sources.prostate.sources import MODALITIES, REPORT, Patient

VERSION = 1  # Of what is done to a patient. Another one prepares all anew.

NO_PERIPHERAL_ZONE = "no peripheral zone in one of the annotations, not registered"
PARTLY_COVERED = "prostate partly outside of the field of view of ADC or b-value"
TUMOUR_LOST = "aggressive, but the readers' consensus has no tumour"


def keep_or_prepare(patient: Patient, folder: Path) -> PatientOutcome:
    """Prepares a patient, unless it is there already from the same files."""
    place = folder / patient.name
    try:
        fingerprint = _fingerprint(patient)
        if kept := _kept(place, fingerprint):
            return kept
        _discard(place)
        outcome, arrays, grid = _prepare(patient.files)
    except UserError as error:
        _discard(place)
        return PatientOutcome(fault=str(error))
    outcome = replace(outcome, fingerprint=fingerprint)
    place.mkdir(exist_ok=True)
    for kind, array in arrays.items():
        write_image(prepared_file(place, kind), array, grid)
    write_json(place / REPORT, outcome, VERSION)
    return outcome


def _fingerprint(patient: Patient) -> str:
    if missing := [str(path) for path in patient.files.values() if not path.is_file()]:
        raise UserError(f"no such file: {', '.join(missing)}")
    checksums = {kind: file_checksum(path) for kind, path in patient.files.items()}
    return hashlib.sha256(json.dumps([VERSION, checksums], sort_keys=True).encode()).hexdigest()


def _kept(place: Path, fingerprint: str) -> PatientOutcome | None:
    outcome = read_outcome(place)
    if outcome is None or outcome.fingerprint != fingerprint:
        return None
    files = [prepared_file(place, kind) for kind in (*MODALITIES, "seg")]
    return outcome if not outcome.group or all(file.is_file() for file in files) else None


def read_outcome(place: Path) -> PatientOutcome | None:
    """What became of a patient with this folder; None of one who is not prepared."""
    path = place / REPORT
    if not path.is_file():
        return None
    try:
        return read_json(path, PatientOutcome, VERSION, "Preprocessing prepares the patient anew.")
    except UserError as error:
        logging.warning("%s", error)
        return None


def _discard(place: Path) -> None:
    """Takes away what was prepared from other files, the report first: it vouches for the rest."""
    for path in (place / REPORT, *(prepared_file(place, k) for k in (*MODALITIES, "seg"))):
        path.unlink(missing_ok=True)


def prepared_file(place: Path, kind: str) -> Path:
    return place / f"{place.name}_{kind}.nii.gz"


def _prepare(files: Mapping[str, Path]) -> tuple[PatientOutcome, dict[str, np.ndarray], Grid]:
    """The outcome, and the images and the label map of a patient who is in a group, on one grid."""
    images = {modality: read_image(files[modality]) for modality in MODALITIES}
    grid = images["t2w"][1]
    first = annotations.annotation(files["zones"], files.get("lesion"), (grid,))
    second = None
    if "zones_2" in files:
        grids = (grid, images["adc"][1])
        second = annotations.annotation(files["zones_2"], files.get("lesion_2"), grids)
    group, notes = annotations.group(first, second)
    if not group:
        return PatientOutcome(notes=notes), {}, grid
    found = annotations.register(first, second) if second else None
    if second and not found:
        notes.append(NO_PERIPHERAL_ZONE)
    shift = found.shift_mm if found else NO_SHIFT
    label = annotations.fuse(first, second, shift)
    # ADC and b-value were scanned together, and not with the T2w.
    scans_shift = NO_SHIFT if second is None or second.grid is grid else shift
    scans = {modality: images[modality][1] for modality in MODALITIES[1:]}
    coverage = _coverage(label, grid, scans, scans_shift, files["zones"])
    outcome = _describe(label, grid, found)
    if min(coverage.values()) < 1:
        notes.append(PARTLY_COVERED)
    if group == GROUPS[0] and not outcome.lesion_voxels:
        notes.append(TUMOUR_LOST)
    shifts = {"t2w": NO_SHIFT, "adc": scans_shift, "hbv": scans_shift}
    arrays = {
        modality: to_grid(image, source, grid, shifts[modality])
        for modality, (image, source) in images.items()
    }
    outcome = replace(outcome, group=group, notes=notes, coverage=coverage)
    return outcome, {**arrays, "seg": label}, grid


def _describe(label: np.ndarray, grid: Grid, registration: Registration | None) -> PatientOutcome:
    """What the label map and the registration tell."""
    axis = next(number for number, code in enumerate(grid.orientation) if code in "SI")
    prostate = (np.moveaxis(label, axis, 0) > 0).any(axis=(1, 2))
    return PatientOutcome(
        **(asdict(registration) if registration else {}),
        slices=int(prostate.size),
        slices_without_prostate=int(np.count_nonzero(~prostate)),
        lesion_voxels=int(np.count_nonzero(label == TUMOUR)),
    )


def _coverage(
    label: np.ndarray, grid: Grid, scans: Mapping[str, Grid], shift: Shift, where: Path
) -> dict[str, float]:
    """By modality, the share of the prostate that is in its field of view."""
    prostate = label > 0
    if not prostate.any():
        raise UserError(f"{where}: expected a prostate, received none (of two readers, in common)")
    found = {m: registration.coverage(prostate, grid, scan, shift) for m, scan in scans.items()}
    for modality, share in found.items():
        if not share:
            raise UserError(
                f"{where}: expected a prostate in the field of view of {modality}, "
                "received one outside"
            )
    return found
