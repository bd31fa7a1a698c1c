"""BraTS, the brain tumours of the MICCAI challenges of 2013 to 2023: T1, contrast, T2 and FLAIR.

Subjects are found anywhere below `--data_dir`, in one of the layouts:

- 2017 to 2021: `NAME/NAME_t1.nii.gz`, `_t1ce`, `_t2`, `_flair`, `_seg` (or `.nii`);
- 2023: `NAME/NAME-t1n.nii.gz`, `-t1c`, `-t2w`, `-t2f`, `-seg` (or `.nii`);
- 2013 and 2015: `NAME/VSD.Brain.XX.O.MR_T1.54513/VSD.Brain.XX.O.MR_T1.54513.mha`, `MR_T1c`,
  `MR_T2`, `MR_Flair`, and the label map `VSD.Brain_3more.XX.O.OT.54517`. The folder around a file
  may be missing. `Synthetic_Data` of 2013, whose labels mean something else, is left out.

The label values of the three differ, so that they cannot be mixed. Where the folders of high and
low grade have subjects of one name, as those of 2013 and 2015 do, names begin with the folder's.

Groups are the grades, from folders called HGG and LGG (HG and LG in 2013) or from the column Grade
of a CSV with "mapping" in its name (`name_mapping.csv` of 2020). `--folds 10` shares each grade
over ten folds: one of them is the tenth part of each grade on which Xue et al. 2018 validate.

Subjects without a label map are reported as missing that file, and left out by `--skip_invalid`.
One such is in the release of 2020: there, `BraTS20_Training_355/W39_1998.09.19_Segm.nii` wants to
be renamed to `BraTS20_Training_355_seg.nii`.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfrecords.errors import UserError
from tfrecords.sources.subject import Dataset, LabelClass, Subject, require_dir
from tfrecords.sources.tables import read_rows

MODALITIES = ("t1", "t1ce", "t2", "flair")
GRADES = {"HGG": "high_grade", "HG": "high_grade", "LGG": "low_grade", "LG": "low_grade"}


@dataclass(frozen=True)
class Layout:
    """How the files of some years are called.

    Attributes:
        pattern: of a file's whole path, with the subject's folder and the file's kind.
        file: a file's path below the subject's folder.
        kinds: those of MODALITIES, in this order, and of the label map.
        classes: in BraTS' own label values.
    """

    years: str
    pattern: str
    file: str
    kinds: tuple[str, str, str, str, str]
    classes: tuple[LabelClass, ...]


def _classes(**labels: int) -> tuple[LabelClass, ...]:
    return tuple(LabelClass(name, (value,)) for name, value in {"background": 0, **labels}.items())


LAYOUTS = (
    Layout(
        "2017 to 2021",
        r"(?P<folder>(?:.*/)?(?P<name>[^/]+))/(?P=name)_(?P<kind>[^_/]+)\.nii(?:\.gz)?",
        "{name}_{kind}.nii.gz",
        ("t1", "t1ce", "t2", "flair", "seg"),
        _classes(necrosis=1, oedema=2, enhancing=4),
    ),
    Layout(
        "2023",
        r"(?P<folder>(?:.*/)?(?P<name>[^/]+))/(?P=name)-(?P<kind>[^-/]+)\.nii(?:\.gz)?",
        "{name}-{kind}.nii.gz",
        ("t1n", "t1c", "t2w", "t2f", "seg"),
        _classes(necrosis=1, oedema=2, enhancing=3),
    ),
    Layout(
        "2013 and 2015",
        r"(?P<folder>.+?)(?:/VSD\.[^/]*)?/VSD\.Brain[^/]*\.(?P<kind>MR_\w+|OT)\.\d+\.mha",
        "VSD.Brain*.{kind}.*.mha",
        ("MR_T1", "MR_T1c", "MR_T2", "MR_Flair", "OT"),
        _classes(necrosis=1, non_enhancing=3, oedema=2, enhancing=4),
    ),
)


def find(data_dir: Path | None) -> Dataset:
    """All subjects of which there is a file; preprocessing reports those that miss some.

    Raises:
        UserError: not one of the layouts, several of them, no label map at all, or two files of a
            subject for one purpose.
    """
    folder = require_dir(data_dir, "brats")
    paths = sorted(
        Path(root, name)
        for root, _, names in os.walk(folder, followlinks=True)
        for name in names
        if "Synthetic_Data" not in Path(root).parts
    )
    layout, files = _one_layout(folder, paths)
    if not any(layout.kinds[-1] in kinds for kinds in files.values()):
        raise UserError(
            f"{folder}: expected label maps, found none of {len(files)} subjects. Preprocessing "
            "needs a training set; label a validation set's images with launch/predict.py"
        )
    grades = _grades(folder, list(files), paths)
    unique = len({place.name for place in files}) == len(files)
    subjects = []
    for place, kinds in files.items():
        name = place.name if unique else f"{place.parent.name}_{place.name}"
        *images, label = (
            kinds.get(kind, place / layout.file.format(name=place.name, kind=kind))
            for kind in layout.kinds
        )
        subjects.append(Subject(name, tuple(images), label, grades.get(place, "all")))
    names = tuple(label_class.name for label_class in layout.classes[1:])
    return Dataset(
        "brats",
        MODALITIES,
        layout.classes,
        tuple(subjects),
        {"WT": names, "TC": tuple(n for n in names if n != "oedema"), "ET": ("enhancing",)},
        tuple(dict.fromkeys(["high_grade", "low_grade", *grades.values()])) if grades else ("all",),
    )


def _one_layout(folder: Path, paths: Sequence[Path]) -> tuple[Layout, dict[Path, dict[str, Path]]]:
    """The only layout of which there are files, and these."""
    found = {layout: files for layout in LAYOUTS if (files := _files(layout, paths))}
    if len(found) != 1:
        expected = (
            f"{layout.years}: NAME/{layout.file.format(name='NAME', kind=layout.kinds[0])}, ..."
            for layout in LAYOUTS
        )
        received = (f"{layout.years} ({next(iter(files))})" for layout, files in found.items())
        raise UserError(
            f"{folder}: expected one of the layouts of --dataset brats ({'; '.join(expected)}), "
            f"received {' and '.join(received) or 'none of them'}"
        )
    ((layout, files),) = found.items()
    return layout, files


def _files(layout: Layout, paths: Sequence[Path]) -> dict[Path, dict[str, Path]]:
    """Files of one layout by subject's folder and kind."""
    found: dict[Path, dict[str, Path]] = {}
    for path in paths:
        match = re.fullmatch(layout.pattern, path.as_posix())
        if match and match["kind"] in layout.kinds:
            kinds = found.setdefault(Path(match["folder"]), {})
            if match["kind"] in kinds:
                raise UserError(
                    f"{path}: expected one file of a subject's {match['kind']}, received "
                    f"{kinds[match['kind']]}, too. Move one of them out of --data_dir"
                )
            kinds[match["kind"]] = path
    return found


def _grades(folder: Path, places: Sequence[Path], paths: Sequence[Path]) -> dict[Path, str]:
    """The grade of every subject, by its folder; empty where no subject's is known."""
    listed: dict[str, str] = {}
    for path in paths:
        if re.fullmatch(r".*mapping.*\.csv", path.name):
            listed |= _listed_grades(path)
    grades = {}
    for place in places:
        parts = place.parts[len(folder.parts) :]
        named = (GRADES[part] for part in parts if part in GRADES)
        grades[place] = next(named, listed.get(place.name, "unknown_grade"))
    return grades if set(grades.values()) != {"unknown_grade"} else {}


def _listed_grades(path: Path) -> dict[str, str]:
    """Grades by what a subject is called, whatever year's name it is."""
    rows = read_rows(path)
    if "Grade" not in rows:
        return {}
    rows = rows[rows["Grade"].isin(list(GRADES))]
    return {
        name: GRADES[grade]
        for column in rows.columns
        for name, grade in zip(rows[column], rows["Grade"], strict=True)
    }
