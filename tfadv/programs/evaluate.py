"""Scores a trained run on held-out subjects: a table, metrics.csv, box plots and a picture.

python launch/evaluate.py --work_dir runs/kohl_purely_adversarial
"""

import math
from pathlib import Path

from absl import flags

from tfadv.programs import cli

WORK_DIR = flags.DEFINE_string(
    "work_dir", None, "Run made by launch/train.py. [required]", required=True
)
FOLDS = flags.DEFINE_string("folds", None, "Comma-separated. [the run's test folds]")
EMPTY_MM = flags.DEFINE_float(
    "empty_mm",
    None,
    "Distance in mm charged where exactly one of reference and prediction is empty; BraTS charges "
    "373.13. [the volume's diagonal]",
)
flags.register_validator(
    "empty_mm",
    lambda value: value is None or 0 <= value < math.inf,
    "expected a distance of at least 0 mm, and finite: means are taken over it",
)
SAVE = flags.DEFINE_bool("save_predictions", False, "Write label maps onto the sources' grids.")


def main() -> None:
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.evaluation import evaluate  # noqa: PLC0415
    from tfadv.run.run import load_run  # noqa: PLC0415
    from tfadv.run.work_dir import WorkDir  # noqa: PLC0415

    work_dir = WorkDir(Path(WORK_DIR.value))
    run, _, predictor = load_run(work_dir)
    folds = cli.comma_list(FOLDS.value) or run.settings.test_folds
    tables = evaluate.evaluate(
        work_dir,
        predictor,
        run.records,
        folds,
        save_predictions=SAVE.value,
        empty_mm=EMPTY_MM.value,
    )
    print(evaluate.describe(tables))
    print(f"tables: {work_dir.metrics}, {work_dir.subjects}")
    print(f"pictures: {work_dir.picture}, {work_dir.boxplots}")
    if SAVE.value:
        print(f"label maps: {work_dir.predictions}")
    cli.tell(f"Next: python launch/export.py --work_dir {work_dir.folder}")
