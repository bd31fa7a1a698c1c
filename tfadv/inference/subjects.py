"""Which subjects to predict a folder or a table holds, and what is left out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfadv.inference.listing import Layout, layout_of, listed, named, stem_of, whole
from tfrecords.errors import SettingError, UserError
from tfrecords.geometry.dicom import is_series
from tfrecords.names import repeated, shortened
from tfrecords.sources.subject import Subject, require_subject
from tfrecords.sources.tables import read_rows


@dataclass(frozen=True)
class Found:
    """What there is to predict.

    Attributes:
        subjects: those that have all their images.
        faults: what is wrong with each of the others, by its name, in a line.
        inputs: all paths that were found, these subjects' images or not.
        left_out: those that are nobody's images.
    """

    subjects: tuple[Subject, ...]
    faults: Mapping[str, str]
    inputs: tuple[Path, ...]
    left_out: tuple[Path, ...] = ()


def find(images: Path, modalities: Sequence[str]) -> Found:
    """The subjects of a folder, or of a CSV with the columns `subject` and one per modality.

    A folder is laid out in one way: `case_0000.nii.gz` as nnU-Net numbers modalities;
    `case_t1.nii.gz`, `case/case_t1.nii.gz` or `case/t1.nii.gz` as the model names them; or
    `case.nii.gz` or `case/case.nii.gz`, 4D where there are several. A folder of one DICOM series is
    as good as a file, `case_t1` as `case_t1.nii.gz`.

    Raises:
        UserError: there are no subjects at all, or a table that cannot be understood.
    """
    if images.is_file() and not stem_of(images):
        return _of_table(images, modalities)
    if not images.is_dir() or is_series(images):
        raise SettingError(
            "images",
            "expected a folder of subjects or a CSV, and one subject's images as --image, received "
            f"{images}",
        )
    return _of_folder(images, modalities)


def _of_folder(folder: Path, modalities: Sequence[str]) -> Found:
    images, others = listed(folder)
    inputs = (*(image.path for image in images), *others)
    layout = layout_of(images, modalities)
    owners: defaultdict[str, defaultdict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for image in images:
        owner, place = layout(image, modalities) or ("", 0)
        if owner and image.folder in ("", owner):
            owners[owner][place].append(image.path)
        else:
            others.append(image.path)
    if not owners:
        raise _nothing(folder, modalities, others)
    subjects, faults = [], {}
    for name, places in sorted(owners.items()):
        subject = Subject(name, tuple(places[place][0] for place in sorted(places)), None)
        if fault := _incomplete(places, modalities, layout) or _unfit(subject):
            faults[name] = fault
        else:
            subjects.append(subject)
    return Found(tuple(subjects), faults, inputs, tuple(sorted(others)))


def _nothing(folder: Path, modalities: Sequence[str], others: Sequence[Path]) -> SettingError:
    names = ", ".join(f"case_{name}.nii.gz" for name in modalities)
    received = f"others, such as {shortened([path.name for path in others])}" if others else "none"
    return SettingError(
        "images",
        f"{folder}: expected a file per modality (case_0000.nii.gz, as nnU-Net numbers them, or "
        f"{names}), or one file per subject; received {received}",
    )


def _incomplete(
    places: Mapping[int, Sequence[Path]], modalities: Sequence[str], layout: Layout
) -> str:
    """What a subject has too few or too many of; empty if nothing."""
    for paths in places.values():
        if len(paths) > 1:
            return f"expected one file per modality, received {', '.join(map(str, paths))}"
    expected = [0] if layout is whole else list(range(len(modalities)))
    if sorted(places) == expected:
        return ""
    wanted = modalities if layout is named else [f"{place:04d}" for place in expected]
    received = [str(places[place][0]) for place in sorted(places)]
    return f"expected a file for each of {', '.join(wanted)}, received {shortened(received)}"


def _of_table(path: Path, modalities: Sequence[str]) -> Found:
    """Further columns, as those of `--dataset table`, do not count."""
    rows = read_rows(path)
    if missing := [column for column in ("subject", *modalities) if column not in rows]:
        raise UserError(
            f"{path}: expected the columns subject and {', '.join(modalities)}, the model's "
            f"modalities, received none called {missing[0]}: {list(rows.columns)!r:.300}"
        )
    for line, name in rows["subject"].items():
        if not isinstance(name, str):
            raise UserError(f"{path}: line {line}: expected a value for subject, received none")
    if again := repeated(rows["subject"]):
        raise UserError(f"{path}: expected each subject once, received {again[0]} several times")
    subjects, faults, inputs = list[Subject](), dict[str, str](), list[Path]()
    for _, row in rows.iterrows():
        name = row["subject"]
        files = {m: path.parent / row[m] for m in modalities if isinstance(row[m], str)}
        inputs += files.values()
        subject = Subject(name, tuple(files.values()), None)
        if absent := [modality for modality in modalities if modality not in files]:
            faults[name] = f"{path}: expected a value for {', '.join(absent)}, received none"
        elif fault := _unfit(subject):
            faults[name] = fault
        else:
            subjects.append(subject)
    return Found(tuple(subjects), faults, tuple(inputs))


def _unfit(subject: Subject) -> str:
    """Why a subject cannot be called so, or its files be its own; empty if it can."""
    try:
        require_subject(subject.name, "", subject.images)
    except UserError as error:
        return str(error)
    return ""
