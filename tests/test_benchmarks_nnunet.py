"""What nnU-Net is given of a run, and how its label maps are measured, without nnU-Net."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest

from tests.loading import load
from tfadv.run.settings import Settings
from tfrecords.errors import UserError
from tfrecords.reading.record_set import RecordSet, open_record_set
from tfrecords.sources import layouts
from tfrecords.sources.subject import UNLABELLED
from tfrecords.writing.preprocessing import Options, preprocess

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "nnunet" / "beside.py"


@pytest.fixture(scope="module")
def beside() -> ModuleType:
    return load(PROGRAM)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> RecordSet:
    """Six subjects in three folds, of two modalities, a cube of label 1 in each."""
    folder = tmp_path_factory.mktemp("sources")
    lines = ["subject,t1,t2,label"]
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    for number in range(6):
        label = np.zeros((12, 10, 6), np.uint8)
        label[2:8, 2:8, 1:4] = 1
        image = (label * 100 + 50 + number).astype(np.int16)
        for kind, array in {"t1": image, "t2": image + 1, "seg": label}.items():
            nib.save(nib.Nifti1Image(array, affine), folder / f"{number}_{kind}.nii.gz")
        lines.append(f"s{number},{number}_t1.nii.gz,{number}_t2.nii.gz,{number}_seg.nii.gz")
    (folder / "subjects.csv").write_text("\n".join(lines))
    found = tmp_path_factory.mktemp("records")
    preprocess(layouts.find("table", folder), found, Options(folds=3, workers=1))
    return open_record_set(found)


def settings_of(records: RecordSet, fraction: float = 1.0) -> Settings:
    return Settings(
        "kohl_cross_entropy",
        {},
        str(records.folder),
        ("0",),
        ("1",),
        ("2",),
        positive_fraction=fraction,
    )


def subjects_of(records: RecordSet, fold: str) -> list[str]:
    return [s.name for s in records.manifest.subjects if s.fold == fold]


def test_the_runs_subjects_train_and_nobody_sees_the_tested_labels(
    beside: ModuleType, records: RecordSet, tmp_path: Path
) -> None:
    tests = beside.lay_out(records.manifest, settings_of(records), tmp_path)
    assert [subject.name for subject in tests] == subjects_of(records, "2")
    raw = tmp_path / "raw" / "Dataset001_beside"
    training, validation = subjects_of(records, "0"), subjects_of(records, "1")
    split = {"train": training, "val": validation}
    assert json.loads((tmp_path / "splits.json").read_text()) == [split]
    learned = sorted([*training, *validation])
    assert sorted(p.name for p in (raw / "labelsTr").iterdir()) == [f"{n}.nii.gz" for n in learned]
    images = [f"{name}_000{number}.nii.gz" for name in learned for number in (0, 1)]
    assert sorted(path.name for path in (raw / "imagesTr").iterdir()) == images
    second = nib.load(raw / "imagesTr" / images[1]).get_fdata()
    assert second.max() == 151 + int(learned[0][1:])
    dataset = json.loads((raw / "dataset.json").read_text())
    assert dataset["channel_names"] == {"0": "t1", "1": "t2"}
    assert list(dataset["labels"].values()) == [0, 1]
    assert dataset["numTraining"] == 4
    shown = {path.name for path in (tmp_path / "tests").iterdir()}
    assert shown == {f"{s.name}_000{number}.nii.gz" for s in tests for number in (0, 1)}


def test_of_a_fraction_the_same_subjects_are_left(
    beside: ModuleType, records: RecordSet, tmp_path: Path
) -> None:
    beside.lay_out(records.manifest, settings_of(records, 0.5), tmp_path)
    (split,) = json.loads((tmp_path / "splits.json").read_text())
    assert len(split["train"]) == 1
    assert len(list((tmp_path / "raw" / "Dataset001_beside" / "labelsTr").iterdir())) == 3
    with pytest.raises(UserError, match="holds other subjects' trainings"):
        beside.lay_out(records.manifest, settings_of(records), tmp_path)


def test_who_has_no_label_map_is_left_out(
    beside: ModuleType, records: RecordSet, tmp_path: Path
) -> None:
    subjects = list(records.manifest.subjects)
    images = dict(list(subjects[0].files.items())[:2])
    subjects.append(replace(subjects[0], name="other", fold=UNLABELLED, files=images))
    manifest = replace(records.manifest, subjects=tuple(subjects))
    beside.lay_out(manifest, settings_of(records), tmp_path)
    assert not list(tmp_path.rglob("other*"))


def test_label_maps_are_measured_by_the_sources(
    beside: ModuleType, records: RecordSet, tmp_path: Path
) -> None:
    tests = [s for s in records.manifest.subjects if s.fold == "2"]
    same, shifted = tests
    label = list(same.files)[-1]
    shutil.copy(label, tmp_path / f"{same.name}.nii.gz")
    moved = np.roll(nib.load(label).get_fdata(), 2, axis=2).astype(np.uint8)
    nib.save(nib.Nifti1Image(moved, nib.load(label).affine), tmp_path / f"{shifted.name}.nii.gz")
    table = beside.score(records.manifest, tests, tmp_path).set_index("subject")
    assert table.loc[same.name, "dice"] == 1
    assert table.loc[same.name, "hausdorff95_mm"] == 0
    # Two of three slices of 2 mm beside.
    assert table.loc[shifted.name, "dice"] == pytest.approx(1 / 3)
    assert table.loc[shifted.name, "hausdorff95_mm"] == pytest.approx(4)
    assert "brier" not in table


def test_classes_of_several_values_are_refused(
    beside: ModuleType, records: RecordSet, tmp_path: Path
) -> None:
    background, ball = records.manifest.classes
    manifest = replace(records.manifest, classes=(background, replace(ball, labels=(1, 4))))
    with pytest.raises(UserError, match="expected classes of one label value each"):
        beside.lay_out(manifest, settings_of(records), tmp_path)


def test_without_nnunet_a_line_says_how_to_get_it(tmp_path: Path) -> None:
    alone = tmp_path / "beside.py"
    shutil.copy(PROGRAM, alone)
    command = [sys.executable, alone, "runs/none", "--minutes", "1"]
    found = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=PROGRAM.parents[2]
    )
    assert found.returncode == 1
    line = found.stderr.splitlines()[-1]  # TensorFlow may speak before.
    assert line.startswith("error: ")
    assert "expected an environment with nnU-Net" in line
