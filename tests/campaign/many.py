"""Folders, tables and DICOM series of many subjects, and what predictions note of them."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from tests.campaign import same
from tests.campaign.inputs import HOSTILE
from tests.campaign.inside import Inside
from tests.campaign.material import MODALITIES, Material, copied
from tests.campaign.mutations import ODD_VALUES, Random, damage, edit_json
from tests.campaign.outcome import Outcome, Result, Trial, count
from tfadv.inference.folder import predict_all
from tfadv.inference.model import local
from tfadv.inference.prediction import predict

SOME_FAILED = "subjects failed"  # What prediction says where the others have their label maps.
# Of a slice: without them, or with others than the other slices', a series is no volume.
OF_VOLUMES = ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "Rows", "Columns")
# Of a series: what a segmentation says of its patient and study.
OF_PATIENTS = (
    *(
        "PatientID",
        "PatientName",
        "PatientSex",
        "PatientBirthDate",
        "StudyInstanceUID",
        "StudyDate",
    ),
    *("FrameOfReferenceUID", "SOPInstanceUID", "SOPClassUID", "SeriesNumber", "AccessionNumber"),
)
ODD_ATTRIBUTES: tuple[Any, ...] = (None, "", "x" * 100, "1.2.x", "é\u202e", "a\\b", "\0")


def trials(material: Material, random: Random, share: float, inside: Inside) -> Iterator[Trial]:
    for kind, total, trial in (
        ("folders to predict", 20, _folder),
        ("tables to predict", 20, _table),
        ("notes of predictions", 30, _note),
        ("DICOM series to predict", 40, _series),
        ("DICOM segmentations", 20, _segmentation),
    ):
        for number in range(count(total, share)):
            seed = int(random.integers(2**32))
            yield Trial(
                kind, f"number {number}, seed {seed}", partial(trial, material, inside, seed)
            )


def predicted_all(model: Path, images: Path, output: Path) -> str:
    """A digest of all label maps, with their names."""
    predict_all(local(model), images, output)
    return digest_of(output)


def digest_of(output: Path) -> str:
    """Of all label maps in a folder, with their names."""
    digest = hashlib.sha256()
    for path in sorted(output.glob("*.nii.gz")):
        made = same.label_map(path)
        digest.update(path.name.encode() + made["voxels"] + made["affine"])
    return digest.hexdigest()


def _folder(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """One file of one subject is damaged, missing, double, of an odd name, or no file."""
    random = np.random.default_rng(seed)
    images = copied(material.images, folder / "images")
    files = sorted(images.iterdir())
    chosen = files[int(random.integers(len(files)))]
    subject, _, rest = chosen.name.partition("_")
    way = int(random.integers(7))
    if way == 0:
        damage(chosen, random)
    elif way == 1:
        shutil.copy(chosen, images / f"{subject}_0002.nii.gz")
    elif way == 2:
        shutil.copy(chosen, images / f"{subject.upper()}_{rest}")
    elif way == 3:
        names = [name for name in HOSTILE if name and not {"/", "\0"} & {*name} and len(name) < 99]
        chosen.rename(images / f"{names[int(random.integers(len(names)))]}_{rest}")
    else:
        chosen.unlink()
        if way == 4:
            os.mkfifo(chosen)
        elif way == 5:
            chosen.symlink_to(chosen if random.random() < 0.5 else images / "nowhere")
        elif way == 6:
            chosen.mkdir()
    return _of_others(material, inside, images, subject, folder, f"way {way}, {chosen.name}")


def _table(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """A CSV with a cell that is wrong, a column or a row twice, or a column less."""
    random = np.random.default_rng(seed)
    table = copied(material.table("nii.gz"), folder / "data") / "subjects.csv"
    rows = [line.split(",")[:3] for line in table.read_text().splitlines()]
    row, column = int(random.integers(1, len(rows))), int(random.integers(3))
    way = int(random.integers(6))
    if way == 0:
        rows.append(rows[row])
    elif way == 1:
        rows = [[*cells, cells[column]] for cells in rows]
    elif way == 2:
        rows = [[cell for place, cell in enumerate(cells) if place != column] for cells in rows]
    elif way == 3:
        rows[row][2] = rows[row][1]
    elif column == 0:  # Any other name of a subject would be as good.
        rows[row][0] = HOSTILE[int(random.integers(len(HOSTILE)))]
    else:
        odd = [str(value) for value in ODD_VALUES if value is not None]
        rows[row][column] = odd[int(random.integers(len(odd)))].replace(",", "")
    table.write_text("\n".join(",".join(cells) for cells in rows) + "\n")
    done = f"way {way}, row {row}, column {column}"
    return _of_others(material, inside, table, f"s{row - 1}", folder, done)


def _of_others(
    material: Material, inside: Inside, images: Path, subject: str, folder: Path, done: str
) -> Result:
    """The outcome of predicting what is wrong with one subject: the others have label maps."""
    output = folder / "out"
    expected = digest_of(material.predictions)
    result = inside.tried(predicted_all, material.model, images, output, expected=expected)
    if result.outcome is Outcome.REFUSED:
        made = {path.name: same.label_map(path) for path in output.glob("*.nii.gz")}
        whole = {path.name: same.label_map(path) for path in material.predictions.glob("*.nii.gz")}
        named = whole.pop(f"{subject}.nii.gz")
        some_failed = SOME_FAILED in result.said
        if made != (whole if some_failed else {}) and made != {**whole, f"{subject}.nii.gz": named}:
            result = Result(Outcome.SILENT, f"label maps {sorted(made)}: {result.said}")
    if outside := {path.name for path in folder.iterdir()} - {"images", "data", "out"}:
        result = Result(Outcome.SILENT, f"written outside: {outside}")
    return Result(result.outcome, f"{done}: {result.said}")


def _note(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """A folder of predictions whose note is damaged, of another model, or of other images."""
    random = np.random.default_rng(seed)
    output = copied(material.predictions, folder / "out")
    images, model = copied(material.images, folder / "images"), material.model
    note = output / "predictions.json"
    way = int(random.integers(5))
    done = f"way {way}"
    if way == 0:
        done = edit_json(note, random)
    elif way == 1:
        done = damage(note, random)
    elif way == 2:
        note.unlink()
    elif way == 3:
        model = material.other_model
    else:
        files = sorted(images.iterdir())
        shutil.copy(files[0], files[2 * int(random.integers(1, len(files) // 2))])
    if random.random() < 0.5:  # One to make, too.
        sorted(output.glob("*.nii.gz"))[0].unlink()
    before = same.contents(output, "*.nii.gz")
    expected = digest_of(material.predictions)
    result = inside.tried(predicted_all, model, images, output, expected=expected)
    if result.outcome is Outcome.REFUSED and same.contents(output, "*.nii.gz") != before:
        result = Result(Outcome.SILENT, f"refused, and yet it wrote: {result.said}")
    return Result(result.outcome, f"{done}: {result.said}")


def predicted(model: Path, images: Sequence[Path], output: Path) -> str:
    """A digest of the label map that is written, or of the segmentation."""
    predict(local(model), images, output)
    if output.suffix != ".dcm":
        made = same.label_map(output)
        return hashlib.sha256(made["voxels"] + made["affine"]).hexdigest()
    written = pydicom.dcmread(output)
    return hashlib.sha256(
        written.pixel_array.tobytes()
        + repr([frame.PlanePositionSequence for frame in _frames(written)]).encode()
    ).hexdigest()


def _frames(written: pydicom.Dataset) -> Any:
    return written.PerFrameFunctionalGroupsSequence


def _series(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """One series of two lacks slices, holds another's, or has a slice that is damaged or odd."""
    random = np.random.default_rng(seed)
    series = copied(material.series, folder / "series")
    files = _in_order(series / MODALITIES[int(random.integers(2))])
    chosen = files[int(random.integers(1, len(files) - 1))]
    way = int(random.integers(7))
    done = f"way {way}, {chosen.parent.name}/{chosen.name}"
    if way == 0:  # That the first or the last is missing, nobody can see.
        chosen.unlink()
    elif way == 1:
        other = next(iter(sorted((series / "t2").iterdir())))
        shutil.copy(other, series / "t1" / "another")
    elif way == 2:
        shutil.copy(chosen, chosen.with_name("again"))
    elif way == 3:
        data = chosen.read_bytes()
        kept = int(random.integers(len(data)))
        chosen.write_bytes(data[:kept])
        done += f" cut to {kept} of {len(data)} bytes"
    elif way == 4:
        _turned(chosen, random)
    elif way == 5:
        done += _odd(chosen, OF_VOLUMES, (*ODD_ATTRIBUTES, 0, -1, 10**6, "nan", [], [1, 1]), random)
    else:
        done += _damaged_header(chosen, random)
    images = [series / modality for modality in MODALITIES]
    return _of_series(material, inside, images, folder / "label.nii.gz", done)


def _in_order(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: pydicom.dcmread(path).InstanceNumber)


def _turned(path: Path, random: Random) -> None:
    """A slice of another orientation: turned, mirrored, or of directions that are none."""
    slice_ = pydicom.dcmread(path)
    directions = [float(value) for value in slice_.ImageOrientationPatient]
    others = (directions[3:] + directions[:3], [-value for value in directions], [0.0] * 6)
    slice_.ImageOrientationPatient = others[int(random.integers(3))]
    slice_.save_as(path)


def _odd(path: Path, names: Sequence[str], values: Sequence[Any], random: Random) -> str:
    """Gives one attribute a value that is none of its own, as files hold it."""
    slice_ = pydicom.dcmread(path)
    name = names[int(random.integers(len(names)))]
    value = values[int(random.integers(len(values)))]
    if value is None:
        delattr(slice_, name)
    else:
        with pydicom.config.disable_value_validation():
            try:
                setattr(slice_, name, value)
                slice_.save_as(path)
                return f" {name}={value!r:.40}"
            except (TypeError, ValueError, AttributeError, OSError):
                delattr(slice_, name)  # No file can hold it.
    slice_.save_as(path)
    return f" without {name}"


def _damaged_header(path: Path, random: Random) -> str:
    """Damages what stands before the voxels, of which nothing tells what they should be."""
    data = path.read_bytes()
    voxels = len(pydicom.dcmread(path).PixelData)
    path.write_bytes(data[:-voxels])
    done = damage(path, random)
    path.write_bytes(path.read_bytes() + data[-voxels:])
    return f" header: {done}"


def _segmentation(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """A series whose slices say odd things of patient and study, or a name that cannot be."""
    random = np.random.default_rng(seed)
    series = copied(material.series, folder / "series")
    images = [series / modality for modality in MODALITIES]
    output = folder / "label.dcm"
    files = _in_order(images[0])
    way = int(random.integers(8))
    done = f"way {way}"
    if way == 0:
        output = files[int(random.integers(len(files)))]
        output = output.rename(output.with_suffix(".dcm"))
    elif way == 1:
        output = images[0] / "label.dcm"
    elif way == 2:
        output.mkdir()
    else:
        chosen = files if random.random() < 0.5 else files[:1]
        place = int(random.integers(2**32))
        for path in chosen:
            done = _odd(path, OF_PATIENTS, ODD_ATTRIBUTES, np.random.default_rng(place))
    return _of_series(material, inside, images, output, done)


def _of_series(
    material: Material, inside: Inside, images: Sequence[Path], output: Path, done: str
) -> Result:
    before = _held(output)
    plain = tuple(material.series / modality for modality in MODALITIES)
    made = material.folder / f"of_series{'.dcm' if output.suffix == '.dcm' else '.nii.gz'}"
    expected = inside.digest(predicted, material.model, plain, made)
    result = inside.tried(predicted, material.model, tuple(images), output, expected=expected)
    if result.outcome is Outcome.REFUSED and _held(output) != before:
        return Result(Outcome.SILENT, f"{done}: refused, and yet it wrote: {result.said}")
    return Result(result.outcome, f"{done}: {result.said}")


def _held(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
