"""Damaged volumes, tables and descriptions at preprocessing's door."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.campaign.material import ENDINGS, Material, copied, preprocess_flags, shards
from tests.campaign.mutations import ODD_VALUES, Random, damage, edit_json
from tests.campaign.outcome import Ended, Result, Trial, judged, launched


def trials(material: Material, random: Random, share: float) -> Iterator[Trial]:
    for ending in ENDINGS:
        for number in range(round(100 * share)):
            seed = int(random.integers(2**32))
            run = partial(_volume, material, ending, seed)
            yield Trial(f"volumes, {ending}", f"number {number}, seed {seed}", run)
    for number in range(round(100 * share)):
        seed = int(random.integers(2**32))
        yield Trial("CSV", f"number {number}, seed {seed}", partial(_table, material, seed))
    for number in range(round(100 * share)):
        seed = int(random.integers(2**32))
        run = partial(_description, material, seed)
        yield Trial("dataset.json", f"number {number}, seed {seed}", run)


def _volume(material: Material, ending: str, seed: int, folder: Path) -> Result:
    """One damaged file of one subject."""
    random = np.random.default_rng(seed)
    data = copied(material.table(ending), folder / "data")
    files = sorted(data.rglob(f"*.{ending}"))
    chosen = files[int(random.integers(len(files)))]
    way = _damage_plain if ending == "nii" else damage
    done = f"{chosen.name}: {way(chosen, random)}"
    return _preprocessed(folder, data, material.records(ending), "table", done)


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
    # Not the fifth, the group, which is optional and may hold any name.
    column = int(random.integers(4))
    way = int(random.integers(5))
    if way == 0:
        rows.append(rows[row])
    elif way == 1:
        rows = [[*cells, cells[column]] for cells in rows]
    elif way == 2:
        column = 0 if column < 2 else 3  # A modality less would be another good dataset.
        rows = [[cell for place, cell in enumerate(cells) if place != column] for cells in rows]
    elif way == 3:
        # Another one's file, or another modality's, or the label map as an image.
        column = max(1, column)
        other = 1 + row % (len(rows) - 1)
        rows[row][column] = rows[other][1 + (column + int(random.integers(3))) % 3]
    else:
        column = max(1, column)  # Any other name of a subject would be as good.
        odd = [str(value) for value in ODD_VALUES if value is not None]
        rows[row][column] = odd[int(random.integers(len(odd)))].replace(",", "")
    table.write_text("\n".join(",".join(cells) for cells in rows) + "\n")
    return _preprocessed(folder, data, material.records(), "table", f"way {way}")


def _description(material: Material, seed: int, folder: Path) -> Result:
    """A dataset.json with one entry that is wrong."""
    data = copied(material.decathlon, folder / "data")
    done = edit_json(data / "dataset.json", np.random.default_rng(seed))
    return _preprocessed(folder, data, material.decathlon_records, "decathlon", done)


def _preprocessed(folder: Path, data: Path, expected: Path, dataset: str, done: str) -> Result:
    records = folder / "records"
    ended: Ended = launched("preprocess", *preprocess_flags(data, records, dataset))
    result = judged(ended, lambda: shards(records) == shards(expected))
    if ended.status and (records / "manifest.json").exists():
        return Result(result.outcome, f"{done}: refused, and yet there is a manifest")
    shutil.rmtree(data)
    return Result(result.outcome, f"{done}: {result.said}")
