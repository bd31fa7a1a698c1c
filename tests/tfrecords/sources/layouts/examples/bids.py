"""Three participants of two groups, one in two sessions, and a fourth without a label map."""

from collections.abc import Callable
from pathlib import Path

SESSIONS = (("01", "pre"), ("01", "post"), ("02", "pre"), ("03", "pre"), ("04", "pre"))


def write(folder: Path, image: Callable[..., None], label: Callable[..., None]) -> Path:
    manual = folder / "derivatives" / "manual"
    for number, (participant, session) in enumerate(SESSIONS):
        place = Path(f"sub-{participant}", f"ses-{session}", "anat")
        start = f"sub-{participant}_ses-{session}"
        for channel, suffix in enumerate(("T1w", "FLAIR")):
            image(folder / place / f"{start}_{suffix}.nii.gz", 10 * number + channel)
        if participant != "04":
            label(manual / place / f"{start}_dseg.nii.gz", number, 0, 1, 4)
    (manual / "dseg.tsv").write_text("index\tname\n1\toedema\n4\tcore\n")
    rows = ("participant_id\tage\tgroup", "sub-01\t61\tpatient", "sub-02\tn/a\tcontrol")
    (folder / "participants.tsv").write_text("\n".join((*rows, "sub-03\t48\tpatient")))
    return folder
