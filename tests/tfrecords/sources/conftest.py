"""Prostate patients, small: T2w of 24x20x6 voxels of 1x1x3 mm, ADC of 16x14x7 of 2x2x3 mm."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tfrecords.geometry.grid import Grid, make_grid
from tfrecords.geometry.nifti import read
from tfrecords.sources import layouts
from tfrecords.sources.layouts import prostate
from tfrecords.sources.subject import Dataset

T2W = make_grid((24, 20, 6), np.diag([1.0, 1, 3, 1]))
ADC = make_grid(
    (16, 14, 7),
    np.array([[2.0, 0, 0, -3], [0, 2, 0, -3], [0, 0, 3, -1], [0, 0, 0, 1]]),
)
FILES = {
    "t2w": "t2",
    "adc": "adc",
    "hbv": "hbv",
    "zones": "zones_A",
    "zones_2": "zones_B",
    "lesion": "lesion_human",
}


class Patients:
    """Writes patients, prepares them in `data/prostate` of the working folder, and looks there."""

    T2W, ADC = T2W, ADC

    def zones(self, x: float = 0, grid: Grid = T2W) -> np.ndarray:
        """Peripheral zone behind the transitional one, in T2w's slices 1 to 4, moved by x (mm)."""
        i = np.indices(grid.shape)
        px, py, pz = (i[k] * grid.spacing_mm[k] + grid.matrix[k, 3] for k in range(3))
        box = (abs(px - x - 11.5) < 6) & (py > 4) & (py < 16) & (pz > 1) & (pz < 13)
        return np.where(box, np.where(py < 10.2, 1, 2), 0).astype(np.uint8)

    def lesion(self, grade: int, where: tuple[slice, ...] = np.s_[9:13, 6:9, 2:4]) -> np.ndarray:
        grades = np.zeros(T2W.shape, np.uint16)
        grades[where] = grade
        return grades

    def images(self, seed: int = 0) -> dict[str, tuple[np.ndarray, Grid]]:
        random = np.random.default_rng(seed)
        return {
            kind: (random.integers(1, 1000, grid.shape).astype(np.int16), grid)
            for kind, grid in (("t2w", T2W), ("adc", ADC), ("hbv", ADC))
        }

    def write(self, folder: Path, name: str, drawn: Mapping[str, Any], seed: int = 0) -> Path:
        """A patient in the layout of ProstateX; arrays lie on the T2w's grid or on their own."""
        place = folder / name
        place.mkdir(parents=True)
        for kind, value in {**self.images(seed), **drawn}.items():
            array, grid = value if isinstance(value, tuple) else (value, T2W)
            path = place / f"{name}_{FILES.get(kind, kind)}.nii.gz"
            nib.Nifti1Image(array, grid.matrix).to_filename(path)
        return place

    def make_and_find(self, data_dir: Path) -> Dataset:
        layouts.make("prostate", data_dir, workers=2, prepared_dir=Path("data/prostate"))
        return layouts.find("prostate", data_dir, prepared_dir=Path("data/prostate"))

    def listed(self, folder: Path, name: str, drawn: Mapping[str, Any], fold: str = "") -> Dataset:
        """The dataset of a CSV of one patient, whose `drawn` are columns."""
        place = self.write(folder / "scans", name, drawn)
        columns = ("t2w", "adc", "hbv", *drawn)
        row = {c: (place / f"{name}_{FILES.get(c, c)}.nii.gz").relative_to(folder) for c in columns}
        pd.DataFrame([{"subject": name, **row, "fold": fold}]).to_csv(folder / "p.csv", index=False)
        return self.make_and_find(folder / "p.csv")

    def prepared(self, name: str, kind: str) -> np.ndarray:
        return read(Path(f"data/prostate/{name}/{name}_{kind}.nii.gz"))[0]

    def report(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(Path(f"data/prostate/{name}/report.json").read_text())
        return content


@pytest.fixture
def patients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patients:
    """Patients who are prepared in this process, below the test's folder."""

    def map_here(
        function: Callable[[Any], Any], items: Sequence[Any], *_: object, **__: object
    ) -> Iterable[tuple[int, Any]]:
        return [(number, function(items[number])) for number in reversed(range(len(items)))]

    monkeypatch.setattr(prostate, "parallel_map", map_here)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Patients()
