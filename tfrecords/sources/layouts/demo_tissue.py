"""Demonstration brain tissue: the ICBM 152 template, deformed, as T1 with CSF, GM and WM.

Made when first asked for, deterministically.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from tfrecords.errors import SettingError
from tfrecords.runners import parallel_map
from tfrecords.sources import phantom
from tfrecords.sources.subject import Dataset, LabelClass, Subject

SUBJECTS = 20
DEFAULT_DIR = Path("data/demo_tissue")


def make(data_dir: Path | None, workers: int) -> None:
    """Makes the subjects that are missing."""
    make_missing(_make, data_dir or DEFAULT_DIR, find(data_dir).subjects, workers)


def find(data_dir: Path | None) -> Dataset:
    """All subjects, whether they are made yet or not."""
    folder = data_dir or DEFAULT_DIR
    subjects = tuple(_subject(folder, number) for number in range(SUBJECTS))
    classes = ("background", "CSF", "GM", "WM")
    return Dataset(
        "demo_tissue",
        ("t1",),
        tuple(LabelClass(name, (value,)) for value, name in enumerate(classes)),
        subjects,
    )


def make_missing(
    make: Callable[[tuple[Path, int]], None],
    folder: Path,
    subjects: Sequence[Subject],
    workers: int,
) -> None:
    """Makes the subjects, numbered from 0, that are not there yet."""
    jobs = [
        (folder, number)
        for number, subject in enumerate(subjects)
        if not all(path.is_file() for path in subject.files)
    ]
    if not jobs:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            "data_dir", f"expected a folder to write to, received {error}"
        ) from error
    for _ in parallel_map(make, jobs, workers, f"Making {folder.name}"):
        pass


def _subject(folder: Path, number: int) -> Subject:
    name = f"tissue_{number:03d}"
    files = [folder / name / f"{name}_{kind}.nii.gz" for kind in ("t1", "seg")]
    return Subject(name, (files[0],), files[1])


def _make(job: tuple[Path, int]) -> None:
    folder, number = job
    phantom.make_tissue_subject(folder, f"tissue_{number:03d}", number)
