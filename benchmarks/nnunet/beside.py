"""nnU-Net on the subjects of a run, on the same machine, for as many minutes, by the same measures.

python benchmarks/nnunet/beside.py runs/kohl_cross_entropy --minutes 9 [--configuration 2d]

nnU-Net reads the source files of the run's record set; the same subjects train, and its label maps
of the run's test subjects are measured with the labels of the sources, on their grids. Its trainer
counts minutes instead of epochs; what it takes to plan and preprocess comes on top. It has an
environment of its own, which the program says how to make.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from tfadv.evaluation.measures import MEASURES, region_metrics
from tfadv.inference.targets import scored_regions
from tfadv.run.settings import Settings
from tfadv.run.split import training_subjects
from tfadv.run.work_dir import WorkDir
from tfrecords.errors import UserError
from tfrecords.geometry.nifti import read
from tfrecords.reading.record_set import open_record_set
from tfrecords.records.manifest import Manifest, SubjectRecord

FOLDER = Path(__file__).parent
PYTHON = FOLDER / ".venv" / "bin" / "python"


def main() -> None:
    arguments = _arguments()
    if not PYTHON.is_file():
        raise UserError(
            f"{PYTHON}: no such file; expected an environment with nnU-Net. Make it with python3 "
            "-m venv benchmarks/nnunet/.venv && "
            "benchmarks/nnunet/.venv/bin/pip install -r benchmarks/nnunet/requirements.txt"
        )
    settings = WorkDir(arguments.run).settings()
    manifest = open_record_set(Path(settings.records)).manifest
    out_dir = arguments.out_dir or arguments.run / "beside_nnunet"
    tests = lay_out(manifest, settings, out_dir)
    values = (arguments.configuration, arguments.minutes, arguments.batch)
    command = [PYTHON, FOLDER / "worker.py", out_dir, *values]
    if subprocess.run([str(part) for part in command]).returncode:
        raise UserError(f"nnU-Net failed; see above. The folder is {out_dir}")
    table = score(manifest, tests, out_dir / "predictions")
    table.to_csv(out_dir / "metrics.csv", index=False)
    print(table.groupby("region", sort=False).mean(numeric_only=True).T.to_string())


def lay_out(manifest: Manifest, settings: Settings, out_dir: Path) -> list[SubjectRecord]:
    """nnU-Net's folders of the run's subjects, as links to their files; returns the tested ones.

    Raises:
        UserError: modalities are in one file, or classes of several label values, which nnU-Net
            reads otherwise; or the folder is another run's.
    """
    held = settings.training_folds, settings.positive_fraction, settings.seed
    training = sorted(training_subjects(manifest, *held))
    validation = [s.name for s in manifest.subjects if s.fold in settings.validation_folds]
    tests = [s for s in manifest.subjects if s.fold in settings.test_folds]
    if any(len(c.labels) > 1 for c in manifest.classes):
        raise UserError(f"{settings.records}: expected classes of one label value each")
    splits = json.dumps([{"train": training, "val": validation}], indent=1)
    split_file = out_dir / "splits.json"
    if split_file.exists() and split_file.read_text() != splits:
        raise UserError(f"{out_dir}: holds other subjects' trainings; choose another --out_dir")
    raw = out_dir / "raw" / "Dataset001_beside"
    known = {*training, *validation}
    for subject in manifest.subjects:
        learned = subject.name in known
        if not learned and subject not in tests:
            continue
        *images, label = subject.files
        if len(images) != len(manifest.modalities):
            raise UserError(f"{subject.name}: expected a file per modality, received {images}")
        folder = raw / "imagesTr" if learned else out_dir / "tests"
        for number, image in enumerate(images):
            _link(Path(image), folder / f"{subject.name}_{number:04d}.nii.gz")
        if learned:
            _link(Path(label), raw / "labelsTr" / f"{subject.name}.nii.gz")
    dataset = {
        "channel_names": dict(enumerate(manifest.modalities)),
        "labels": {c.name: c.labels[0] for c in manifest.classes},
        "numTraining": len(training) + len(validation),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(dataset, indent=1))
    split_file.write_text(splits)
    return tests


def score(manifest: Manifest, tests: Iterable[SubjectRecord], predictions: Path) -> pd.DataFrame:
    """A row per subject and region, as a run's metrics.csv, without what needs probabilities."""
    rows = []
    chosen = [measure for measure in MEASURES if not measure.of_stated]
    for subject in tqdm(list(tests), "Measuring"):
        reference, grid = read(Path(list(subject.files)[-1]))
        x_mm, y_mm, z_mm = grid.spacing_mm
        prediction, _ = read(predictions / f"{subject.name}.nii.gz")
        for region, members in scored_regions(manifest).items():
            values = [manifest.classes[index].labels[0] for index in members]
            there, found = (np.isin(labels, values) for labels in (reference, prediction))
            row = region_metrics(there, found, (x_mm, y_mm, z_mm), measures=chosen)
            rows.append({"subject": subject.name, "region": region, **row})
    return pd.DataFrame(rows)


def _link(source: Path, path: Path) -> None:
    if not source.name.endswith(".nii.gz"):
        raise UserError(f"{source}: expected a .nii.gz file")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.symlink_to(source)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="made by launch/train.py")
    parser.add_argument("--minutes", type=float, required=True, help="of training")
    parser.add_argument("--configuration", default="2d", choices=("2d", "3d_fullres"))
    parser.add_argument("--batch", type=int, default=0, help="examples a step [as planned]")
    parser.add_argument("--out_dir", type=Path, help="[RUN/beside_nnunet]")
    arguments = parser.parse_args()
    if arguments.minutes <= 0:
        parser.error(f"--minutes: expected more than 0, received {arguments.minutes:g}")
    return arguments


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
