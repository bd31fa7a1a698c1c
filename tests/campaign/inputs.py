"""Damaged volumes, tables and descriptions at the doors of preprocessing and prediction."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tests.campaign import same
from tests.campaign.inside import Inside
from tests.campaign.material import ENDINGS, Material, copied, preprocess_flags
from tests.campaign.mutations import ODD_VALUES, Random, damage, edit_json
from tests.campaign.outcome import Outcome, Result, Trial, count, judged, launched
from tfadv.inference.model import local
from tfadv.inference.prediction import predict
from tfadv.inference.segmented import Model

# Of subjects and groups: no file may be called so.
HOSTILE = ("", " ", "../../x", "\0", "x" * 300, "/tmp/x", ".x", "-x", "a/b", "a\\b", "\u202e")


def trials(material: Material, random: Random, share: float, inside: Inside) -> Iterator[Trial]:
    for ending in ENDINGS:
        for number in range(count(60, share)):
            seed = int(random.integers(2**32))
            run = partial(_volume, material, ending, seed)
            yield Trial(f"volumes, {ending}", f"number {number}, seed {seed}", run)
    for ending in ENDINGS:
        for number in range(count(25, share)):
            seed = int(random.integers(2**32))
            run = partial(_predicted, material, inside, ending, seed)
            yield Trial(f"volumes to predict, {ending}", f"number {number}, seed {seed}", run)
    for number in range(count(80, share)):
        seed = int(random.integers(2**32))
        yield Trial("CSV", f"number {number}, seed {seed}", partial(_table, material, seed))
    for number in range(count(80, share)):
        seed = int(random.integers(2**32))
        run = partial(_description, material, seed)
        yield Trial("dataset.json", f"number {number}, seed {seed}", run)


def _volume(material: Material, ending: str, seed: int, folder: Path) -> Result:
    """One damaged file of one subject."""
    data = copied(material.table(ending), folder / "data")
    chosen, done = damaged_one(sorted(data.rglob(f"*.{ending}")), np.random.default_rng(seed))
    expected = same.record_set(material.records(ending))
    return _preprocessed(folder, data, lambda: expected, done, (str(chosen),))


def _predicted(material: Material, inside: Inside, ending: str, seed: int, folder: Path) -> Result:
    """One damaged image of one subject."""
    plain = sorted((material.table(ending) / "s0").glob(f"t*.{ending}"))
    images = sorted(copied(plain[0].parent, folder / "s0").glob(f"t*.{ending}"))
    _, done = damaged_one(images, np.random.default_rng(seed))
    expected = inside.digest(
        predicted, material.model, tuple(plain), material.folder / f"plain-{ending}.nii.gz"
    )
    output = folder / "label.nii.gz"
    result = inside.tried(predicted, material.model, images, output, expected=expected)
    if result.outcome is Outcome.REFUSED and output.exists():
        return Result(Outcome.SILENT, f"{done}: refused, and yet there is a label map")
    return Result(result.outcome, f"{done}: {result.said}")


def predicted(model: Path, images: Sequence[Path], output: Path) -> str:
    """A digest of the label map that is written."""
    return written(local(model), images, output)


def written(model: Model, images: Sequence[Path], output: Path) -> str:
    """As `predicted`, of a model wherever it is."""
    predict(model, images, output)
    made = same.label_map(output)
    return hashlib.sha256(made["voxels"] + made["affine"]).hexdigest()


def damaged_one(files: Sequence[Path], random: Random) -> tuple[Path, str]:
    """Damages one of the files; which, and what was done."""
    chosen = files[int(random.integers(len(files)))]
    way = _damage_plain if chosen.suffix == ".nii" else damage
    return chosen, f"{chosen.name}: {way(chosen, random)}"


def _damage_plain(path: Path, random: Random) -> str:
    """Of a file without checksums: fewer bytes, which alone can be seen in it."""
    data = path.read_bytes()
    kept = int(random.integers(len(data)))
    path.write_bytes(data[:kept])
    return f"cut to {kept} of {len(data)} bytes"


def _table(material: Material, seed: int, folder: Path) -> Result:
    """A CSV with a cell that is wrong, a column or a row twice, or damaged bytes."""
    random = np.random.default_rng(seed)
    data = copied(material.table("nii.gz"), folder / "data")
    table = data / "subjects.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()]
    row = int(random.integers(1, len(rows)))
    column = int(random.integers(5))
    way = int(random.integers(5))
    expected = same.record_set(material.records())
    if way == 0:
        rows.append(rows[row])
    elif way == 1:
        rows = [[*cells, cells[column]] for cells in rows]
    elif way == 2:
        column = 0 if column < 2 else 3  # A modality or the group less would be a good dataset.
        rows = [[cell for place, cell in enumerate(cells) if place != column] for cells in rows]
    elif way == 3:
        # Another one's file, or another modality's, or the label map as an image.
        column = 1 + column % 3
        other = 1 + row % (len(rows) - 1)
        rows[row][column] = rows[other][1 + (column + int(random.integers(3))) % 3]
    elif column in (0, 4):  # Any other name of a subject or a group would be as good.
        rows[row][column] = HOSTILE[int(random.integers(len(HOSTILE)))]
    else:
        odd = [str(value) for value in ODD_VALUES if value is not None]
        rows[row][column] = odd[int(random.integers(len(odd)))].replace(",", "")
    table.write_text("\n".join(",".join(cells) for cells in rows) + "\n")
    done = f"way {way}, row {row}, column {column}"
    return _preprocessed(folder, data, lambda: expected, done, (f"s{row - 1}", table.name))


def _description(material: Material, seed: int, folder: Path) -> Result:
    """A dataset.json with one entry that is wrong."""
    data = copied(material.decathlon, folder / "data")
    description = data / "dataset.json"
    done = edit_json(description, np.random.default_rng(seed))

    def expected() -> same.Made:
        """Other names are other names: those that stand there."""
        made = same.record_set(material.decathlon_records)
        content = json.loads(description.read_text())
        made["manifest"]["modalities"] = list(content["channel_names"].values())
        names = {value: name for name, value in content["labels"].items()}
        for found in made["manifest"]["classes"]:
            found["name"] = names[found["labels"][0]]
        return made

    return _preprocessed(folder, data, expected, done, (description.name,), "decathlon")


def _preprocessed(
    folder: Path,
    data: Path,
    expected: Callable[[], same.Made],
    done: str,
    about: Sequence[str],
    dataset: str = "table",
) -> Result:
    records = folder / "records"
    ended = launched("preprocess", *preprocess_flags(data, records, dataset))
    result = judged(ended, lambda: same.record_set(records) == expected(), about)
    outside = {path.name for path in folder.iterdir()} - {"data", "records"}
    if ended.status and (records / "manifest.json").exists():
        result = Result(Outcome.SILENT, "refused, and yet there is a manifest")
    if outside:
        result = Result(Outcome.SILENT, f"written outside: {outside}")
    return Result(result.outcome, f"{done}: {result.said}")
