"""What became of each patient: a table, and a few lines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from absl import logging

from tfrecords.names import shortened
from tfrecords.sources.prostate.annotations import GROUPS
from tfrecords.sources.prostate.sources import MODALITIES


@dataclass(frozen=True)
class PatientOutcome:
    """What became of a patient.

    Attributes:
        group: empty where the patient is left out or could not be prepared.
        fault: why it could not be prepared.
        shift_mm: RAS, of the second annotation.
        coverage: by modality, the share of the prostate's voxels in its field of view.
        fingerprint: of all that determines the prepared files.
    """

    group: str = ""
    fault: str = ""
    notes: Sequence[str] = ()
    shift_mm: Sequence[float] | None = None
    dice_before: float | None = None
    dice_after: float | None = None
    slices: int | None = None
    slices_without_prostate: int | None = None
    coverage: Mapping[str, float] = field(default_factory=dict)
    lesion_voxels: int | None = None
    fingerprint: str = ""


def table_row(name: str, outcome: PatientOutcome) -> dict[str, object]:
    shift = outcome.shift_mm or (None, None, None)
    return {
        "patient": name,
        "group": outcome.group,
        **{f"shift_{axis}_mm": mm for axis, mm in zip("xyz", shift, strict=True)},
        "dice_before": outcome.dice_before,
        "dice_after": outcome.dice_after,
        "slices": outcome.slices,
        "slices_without_prostate": outcome.slices_without_prostate,
        **{f"{modality}_coverage": outcome.coverage.get(modality) for modality in MODALITIES[1:]},
        "lesion_voxels": outcome.lesion_voxels,
        "notes": "; ".join([*outcome.notes, *([outcome.fault] if outcome.fault else [])]),
    }


def log_summary(outcomes: Mapping[str, PatientOutcome], table: Path) -> None:
    """Counts, and a line per kind of what is to be known of some patients."""
    groups = Counter(outcome.group for outcome in outcomes.values() if not outcome.fault)
    counts = ", ".join(f"{groups[group]} {group}" for group in GROUPS)
    faults = [f"{name} ({outcome.fault})" for name, outcome in outcomes.items() if outcome.fault]
    logging.info(
        f"{len(outcomes)} patients: {counts}, {groups['']} left out, {len(faults)} not prepared. "
        f"See {table}."
    )
    slices = sum(r.slices or 0 for r in outcomes.values())
    beside = sum(r.slices_without_prostate or 0 for r in outcomes.values())
    if beside:
        logging.info(
            f"{beside} of {slices} slices lie beside the prostate; --foreground_slices skips them."
        )
    after = [r.dice_after for r in outcomes.values() if r.dice_after is not None]
    before = [r.dice_before for r in outcomes.values() if r.dice_before is not None]
    if after:
        logging.info(
            f"Registration of {len(after)} second annotations: median Dice of the peripheral zone "
            f"{np.median(before):.3f} before, {np.median(after):.3f} after."
        )
    kinds = {"Cannot be prepared": faults} if faults else {}
    for name, outcome in outcomes.items():
        for note in outcome.notes:
            kinds.setdefault(note[0].upper() + note[1:], []).append(name)
    for kind, names in kinds.items():
        logging.info(f"{kind}: {shortened(names)}.")
