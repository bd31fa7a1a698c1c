"""Scores a trained run on held-out subjects: a table, metrics.csv and a picture.

python launch/evaluate.py --work_dir runs/kohl_purely_adversarial
"""

from pathlib import Path

from absl import flags

from launch import cli

WORK_DIR = flags.DEFINE_string("work_dir", None, "Run made by launch/train.py.", required=True)
FOLDS = flags.DEFINE_string("folds", None, "Comma-separated. [the run's test folds]")
SAVE = flags.DEFINE_bool("save_predictions", False, "Write label maps onto the sources' grids.")


def main() -> None:
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv import evaluation, training  # noqa: PLC0415
    from tfadv.work_dir import WorkDir  # noqa: PLC0415

    work_dir = WorkDir(Path(WORK_DIR.value))
    settings, records, _, predictor = training.load_run(work_dir)
    folds = cli.comma_list(FOLDS.value) or settings.test_folds
    tables = evaluation.evaluate(work_dir, predictor, records, folds, save_predictions=SAVE.value)
    print(evaluation.describe(tables))
    print(f"tables: {work_dir.metrics}, {work_dir.subjects}\npicture: {work_dir.picture}")
    if SAVE.value:
        print(f"label maps: {work_dir.predictions}")
    print(f"Next: python launch/export.py --work_dir {work_dir.folder}")


if __name__ == "__main__":
    cli.run(main)
