"""MRBrainS13: 20 brains of elderly people at 3 T, of which five have public label maps.

`--data_dir` is the challenge's folder or its `TrainingData`, which holds the folders 1 to 5 with
`T1.nii`, `LabelsForTraining.nii` and others (maybe as `.nii.gz`). The T1 scan is the one on the
grid of the label maps, 0.958 x 0.958 x 3 mm, not `T1_1mm.nii`. `TestData` has no label maps and is
not read.

Classes are the seven of Moeskops et al. 2017 and background: white matter lesions count as white
matter, and come back as 3, white matter. The extracerebral CSF is the paper's peripheral one.

Each subject is a fold of its own, named by its number: by default, training tests on 5, validates
on 4 and learns from the other three. The paper trains on all five and tests on the 15 of
`TestData`.
"""

from pathlib import Path

from tfrecords.errors import UserError
from tfrecords.sources.subject import Dataset, LabelClass, Subject, require_dir

NUMBERS = ("1", "2", "3", "4", "5")
CLASSES = (
    LabelClass("background", (0,)),
    LabelClass("WM", (3, 4)),  # white matter, white matter lesions
    LabelClass("cGM", (1,)),  # cortical grey matter
    LabelClass("BGT", (2,)),  # basal ganglia
    LabelClass("CB", (7,)),  # cerebellum
    LabelClass("BS", (8,)),  # brain stem
    LabelClass("lvCSF", (6,)),  # ventricles
    LabelClass("pCSF", (5,)),  # cerebrospinal fluid in the extracerebral space
)


def find(data_dir: Path | None) -> Dataset:
    """The five training subjects; preprocessing reports those whose files are missing.

    Raises:
        UserError: none of their folders is there.
    """
    folder = require_dir(data_dir, "mrbrains13")
    if (folder / "TrainingData").is_dir():
        folder = folder / "TrainingData"
    if not any((folder / number).is_dir() for number in NUMBERS):
        raise UserError(
            f"{folder}: expected the folders TrainingData/1 to TrainingData/5, or 1 to 5, for "
            "--dataset mrbrains13, received none of them"
        )
    subjects = (
        Subject(
            number,
            (_file(folder / number, "T1"),),
            _file(folder / number, "LabelsForTraining"),
            fold=number,
        )
        for number in NUMBERS
    )
    return Dataset("mrbrains13", ("t1",), CLASSES, tuple(subjects))


def _file(folder: Path, name: str) -> Path:
    compressed = folder / f"{name}.nii.gz"
    return compressed if compressed.is_file() else folder / f"{name}.nii"
