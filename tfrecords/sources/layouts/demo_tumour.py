"""Demonstration brain tumours: the ICBM 152 template, deformed, with synthetic nested lesions.

Labels and regions are those of BraTS. Made when first asked for, deterministically.
"""

from pathlib import Path

from tfrecords.sources import phantom
from tfrecords.sources.layouts.demo_tissue import make_missing
from tfrecords.sources.subject import Dataset, LabelClass, Subject

SUBJECTS = 30
DEFAULT_DIR = Path("data/demo_tumour")
MODALITIES = ("t1", "t1ce", "t2", "flair")


def make(data_dir: Path | None, workers: int) -> None:
    """Makes the subjects that are missing."""
    make_missing(_make, data_dir or DEFAULT_DIR, find(data_dir).subjects, workers)


def find(data_dir: Path | None) -> Dataset:
    """All subjects, whether they are made yet or not."""
    folder = data_dir or DEFAULT_DIR
    subjects = tuple(_subject(folder, number) for number in range(SUBJECTS))
    return Dataset(
        "demo_tumour",
        MODALITIES,
        (
            LabelClass("background", (0,)),
            LabelClass("necrosis", (1,)),
            LabelClass("oedema", (2,)),
            LabelClass("enhancing", (4,)),
        ),
        subjects,
        {
            "WT": ("necrosis", "oedema", "enhancing"),
            "TC": ("necrosis", "enhancing"),
            "ET": ("enhancing",),
        },
        ("high_grade", "low_grade"),
    )


def _subject(folder: Path, number: int) -> Subject:
    name = f"tumour_{number:03d}"
    images = (folder / name / f"{name}_{modality}.nii.gz" for modality in MODALITIES)
    label = folder / name / f"{name}_seg.nii.gz"
    return Subject(name, tuple(images), label, "high_grade" if _high(number) else "low_grade")


def _high(number: int) -> bool:
    """Two of three, about the share of high grades in BraTS."""
    return number % 3 != 2


def _make(job: tuple[Path, int]) -> None:
    folder, number = job
    phantom.make_tumour_subject(folder, f"tumour_{number:03d}", number, _high(number))
