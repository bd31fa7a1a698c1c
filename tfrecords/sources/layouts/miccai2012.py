"""MICCAI 2012 challenge on multi-atlas labelling: 35 T1 scans of adults, 134 structures.

Either layout will do, with one `--data_dir` for both roles:

- the challenge's own, whole heads: `training-images/1000_3.nii.gz`,
  `training-labels/1000_3_glm.nii.gz`, `testing-images/...`, `testing-labels/...`;
- skull-stripped: `training/1000_SS.nii.gz`, `training/1000_glm.nii.gz`, `testing/...`.

Structures are grouped into the six classes of Moeskops et al. 2017 and background, `CLASSES`. A
class is written back as the right half of its largest structure: cortex, for example, as 142, the
right middle frontal gyrus.

The challenge says who trains and who tests, so folds are prescribed. Each training subject is a
fold of its own, named by its number, and all testing subjects are the fold "testing". It comes
last, so that by default training tests on it, validates on 1036 and learns from the other 14.

Of the testing subjects, those that are there are read. All training subjects are expected: with one
less it is another experiment, so preprocessing reports missing files, and goes on without their
subjects only with --skip_invalid.
"""

import itertools
from pathlib import Path

from tfrecords.errors import UserError
from tfrecords.sources.subject import Dataset, LabelClass, Subject, require_dir

TRAINING = tuple(map(str, (1000, 1001, 1002, *range(1006, 1016), 1017, 1036)))
TESTING = (
    *map(str, (1003, 1004, 1005, 1018, 1019, *range(1101, 1129, 3))),
    *map(str, (1023, 1024, 1025, 1038, 1039)),  # second scans of people above
)
PARTS = ("training", "testing")
# Image and label map. A subject's number tells its role, not the part in which it lies.
LAYOUTS = (
    ("{part}-images/{number}_3.nii.gz", "{part}-labels/{number}_3_glm.nii.gz"),
    ("{part}/{number}_SS.nii.gz", "{part}/{number}_glm.nii.gz"),
)

# All numbers of the challenge's label_information.csv, and 0; others are refused.
CLASSES = (
    LabelClass(
        "background",
        (
            0,
            # Structures that belong to none of the six classes.
            *(4, 11, 46),  # 3rd ventricle, 4th ventricle, other CSF
            *(31, 32, 47, 48),  # amygdala, hippocampus
            *(61, 62, 75, 76),  # ventral diencephalon, basal forebrain
            69,  # optic chiasm
            # What the challenge ignores, too. Label maps hold some of it, mostly few voxels.
            *(15, 33, 34, 42, 43, 53, 54),  # 5th ventricle, anterior amygdala, exterior, lesion
            *(63, 64, 65, 66, 67, 68),  # vessel, insula, operculum
            *(1, 70, 74),  # unlabelled, basal forebrain of both sides, vitamin E tablet
            *(110, 111, 126, 127, 130, 131, 158, 159, 188, 189),  # gyri that others replace
            *(2, 3, *range(5, 11), *range(12, 15), *range(16, 23), *range(24, 30)),  # sulci
            *(*range(80, 94), *range(97, 100)),  # sulci, colours
        ),
    ),
    LabelClass("WM", (44, 45)),  # cerebral white matter
    LabelClass(
        "cGM",
        (
            *(142, 143),  # middle frontal gyrus
            *(*range(100, 110), *range(112, 126), 128, 129, *range(132, 142)),  # all other cortex
            *(*range(144, 158), *range(160, 188), *range(190, 208)),
        ),
    ),
    LabelClass(
        "BGT",
        (
            *(59, 60),  # thalamus
            *(23, 30, 36, 37, 55, 56, 57, 58),  # accumbens, caudate, pallidum, putamen
        ),
    ),
    LabelClass("CB", (38, 39, 40, 41, 71, 72, 73)),  # exterior, white matter, vermis
    LabelClass("BS", (35,)),  # brain stem
    LabelClass("lvCSF", (51, 52, 49, 50)),  # lateral ventricle, its inferior part
)


def find(data_dir: Path | None) -> Dataset:
    """All training subjects, and those testing subjects of which there is a file.

    Raises:
        UserError: not one of the two layouts, or a file of a subject that the challenge lacks.
    """
    folder = require_dir(data_dir, "miccai2012")
    found = {layout: places for layout in LAYOUTS if (places := _places(folder, layout))}
    if len(found) != 1:
        raise UserError(
            f"{folder}: expected either training-images/1000_3.nii.gz, "
            "training-labels/1000_3_glm.nii.gz, ... or training/1000_SS.nii.gz, "
            "training/1000_glm.nii.gz, ... for --dataset miccai2012, received "
            f"{'both' if found else 'neither'}"
        )
    (((image, label), places),) = found.items()
    numbers = {number for number, _ in places}
    places |= {(number, "training") for number in TRAINING if number not in numbers}
    subjects = (
        Subject(
            number,
            (folder / image.format(part=part, number=number),),
            folder / label.format(part=part, number=number),
            fold=number if number in TRAINING else "testing",
        )
        for number, part in sorted(places)
    )
    return Dataset("miccai2012", ("t1",), CLASSES, tuple(subjects))


def _places(folder: Path, layout: tuple[str, str]) -> set[tuple[str, str]]:
    """Number and part of every image and every label map: one without the other is found, too."""
    places, unknown = set(), []
    for part, pattern in itertools.product(PARTS, layout):
        ending = pattern.split("{number}")[1]
        for path in sorted(folder.glob(pattern.format(part=part, number="[!.]*"))):
            number = path.name.removesuffix(ending)
            places.add((number, part))
            if number not in TRAINING + TESTING:
                unknown.append(str(path))
    if unknown:
        raise UserError(
            f"{', '.join(unknown)}: expected the challenge's subjects alone "
            f"({', '.join(TRAINING + TESTING)}). Move other files out of --data_dir"
        )
    return places
