"""BIDS: raw images in `sub-*/anat`, label maps in `derivatives/*/sub-*`, maybe in sessions `ses-*`.

    participants.tsv
    sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz, sub-01_ses-pre_FLAIR.nii.gz
    derivatives/manual/dseg.tsv
    derivatives/manual/sub-01/ses-pre/anat/sub-01_ses-pre_dseg.nii.gz

Each session is a subject, `sub-01_ses-pre`; all of a participant's share a fold. Groups are the
column `group` of participants.tsv, that of its first line the positive one.

Modalities are the suffixes (T1w, T2w, FLAIR, ...). Where a session has several images of a suffix,
the other parts of their names count: `ce-gadolinium_T1w` beside `T1w`. As everywhere, all have to
lie on the label map's grid.

Label maps end in `_dseg`, or where none does in `_mask`; those with a `space-` come last. Of
several kinds, or in several folders, nobody could say which are meant: `--data_dir` may be one of
the folders in `derivatives`, whose label maps alone count then. Classes are those of its
`dseg.tsv`, or every value found.

With `--unlabelled`, sessions without a label map are subjects without one, but for those of
participants who have one in another session: that may be held out.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from absl import logging

from tfrecords.errors import UserError
from tfrecords.names import shortened
from tfrecords.sources.bids_files import (
    UNKNOWN,
    File,
    by_modality,
    classes_of,
    groups_of,
    named_files,
)
from tfrecords.sources.subject import Dataset, Subject, require_dir

DERIVATIVES = "derivatives"
LABELS = ("dseg", "mask")  # The latter only where there are none of the former.
NO_IMAGES = ("defacemask", *LABELS)


def find(data_dir: Path | None) -> Dataset:
    """The sessions with a label map.

    Raises:
        UserError: no images, no label maps, or several kinds of label maps.
    """
    return _find(data_dir, unlabelled=False)


def find_with_unlabelled(data_dir: Path | None) -> Dataset:
    """The sessions with a label map, and those of participants who have none."""
    return _find(data_dir, unlabelled=True)


def _find(data_dir: Path | None, *, unlabelled: bool) -> Dataset:
    root, folders = _places(require_dir(data_dir, "bids"))
    images = _images(root)
    derivative, labels = _labels(root, folders)
    sessions = {label.session: label for label in labels}
    labelled = {label.participant for label in labels}
    others = {i.session: i for i in images if i.session not in sessions}
    without = {name: image for name, image in others.items() if image.participant not in labelled}
    if unlabelled:
        sessions |= without
        left = others.keys() - without.keys()
        _tell_left_out(root, left, "Other sessions of their participants have one")
    else:
        _tell_left_out(root, others.keys(), "Give --unlabelled to take those of other participants")
    found = by_modality([image for image in images if image.session in sessions])
    modalities = tuple(sorted({modality for _, modality in found}))
    _tell_incomplete(root, modalities, found, len(sessions))
    groups = groups_of(root / "participants.tsv")
    subjects = tuple(
        Subject(
            session,
            tuple(found.get((session, m), _expected(root, file, m)) for m in modalities),
            file.path if file.suffix in LABELS else None,
            groups.get(file.participant, UNKNOWN) if groups else "all",
            patient=file.participant,
        )
        for session, file in sorted(sessions.items())
    )
    known = {subject.group for subject in subjects}
    ordered = (g for g in dict.fromkeys((*groups.values(), UNKNOWN, "all")) if g in known)
    classes = classes_of(labels[0], derivative)
    return Dataset("bids", modalities, classes, subjects, groups=tuple(ordered))


def _places(folder: Path) -> tuple[Path, list[Path]]:
    """The dataset, and the folders whose label maps count."""
    whole = folder.absolute()
    if whole.parent.name == DERIVATIVES:
        return whole.parent.parent, [whole]
    own = folder / DERIVATIVES
    inner = sorted(path for path in own.glob("*") if path.is_dir())
    # Of a single derivative, the subjects may lie there without a folder of its own.
    alone = [own] if any(path.name.startswith("sub-") for path in inner) else []
    return folder, alone + [path for path in inner if not path.name.startswith("sub-")]


def _images(root: Path) -> list[File]:
    places = ("sub-*/anat/*", "sub-*/ses-*/anat/*")
    images = [file for place in places for file in named_files(root.glob(place))]
    found = [image for image in images if image.suffix not in NO_IMAGES]
    if not found:
        raise UserError(
            f"{root}: expected images such as sub-01/anat/sub-01_T1w.nii.gz or "
            "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz for --dataset bids, found none"
        )
    return found


def _labels(root: Path, folders: Sequence[Path]) -> tuple[Path, list[File]]:
    """The derivative whose label maps are meant, and these: one for each session."""
    kinds: dict[tuple[Path, str], list[File]] = {}
    for folder in folders:
        for file in named_files(folder.glob("sub-*/**/*")):
            if file.suffix in LABELS:
                kinds.setdefault((folder, file.kind), []).append(file)
    least = min((_order(files[0]) for files in kinds.values()), default=None)
    meant = {key: files for key, files in kinds.items() if _order(files[0]) == least}
    if len(meant) != 1:
        received = " and ".join(str(files[0].path) for files in meant.values()) or "none"
        raise UserError(
            f"{root / DERIVATIVES}: expected label maps of one kind, such as "
            f"NAME/sub-01/anat/sub-01_dseg.nii.gz, received {received}. Give the folder of those "
            "that are meant as --data_dir, or a CSV for --dataset table"
        )
    (((derivative, _), labels),) = meant.items()
    owners: dict[str, File] = {}
    for label in labels:
        if owners.setdefault(label.session, label) != label:
            raise UserError(
                f"{label.path}: expected one label map of a session, received "
                f"{owners[label.session].path}, too"
            )
    return derivative, labels


def _order(label: File) -> tuple[int, bool]:
    """Of label maps, the least are meant."""
    return LABELS.index(label.suffix), any(e.startswith("space-") for e in label.entities)


def _expected(root: Path, file: File, modality: str) -> Path:
    """Where a session's image would lie."""
    folder = root.joinpath(*file.session.split("_"))
    return folder / "anat" / f"{file.session}_{modality}.nii.gz"


def _tell_left_out(root: Path, sessions: Collection[str], remark: str) -> None:
    if sessions:
        logging.warning(
            f"{root}: {len(sessions)} sessions without a label map are left out: "
            f"{shortened(sorted(sessions))}. {remark}"
        )


def _tell_incomplete(
    root: Path, modalities: Sequence[str], found: Mapping[tuple[str, str], Path], sessions: int
) -> None:
    """Of modalities that some sessions lack, which preprocessing will report."""
    counts = {m: sum(modality == m for _, modality in found) for m in modalities}
    if rare := [f"{m} ({count})" for m, count in counts.items() if count < sessions]:
        common = ",".join(m for m, count in counts.items() if count == sessions)
        keep = f". --modalities={common} takes those that all have" if common else ""
        logging.warning(f"{root}: not all of {sessions} sessions have {', '.join(rare)}{keep}")
