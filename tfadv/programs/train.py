"""Trains a method on a record set; the same command resumes a run that was stopped.

python launch/train.py --method kohl_purely_adversarial --preset small
python launch/train.py --method kohl_hybrid --hp.width=32 --hp.epochs=60

Watch it with: tensorboard --logdir runs
"""

from pathlib import Path

from absl import flags

from tfadv.programs import cli

METHOD = flags.DEFINE_string("method", None, "See launch/methods.py. [required]", required=True)
RECORDS = flags.DEFINE_string("records", "records/demo_tumour", "Record set to train on.")
WORK_DIR = flags.DEFINE_string("work_dir", None, "Run to write or resume. [runs/METHOD]")
PRESET = flags.DEFINE_enum(
    "preset", "paper", ["paper", "small"], "The paper's values, or ones that fit a CPU."
)
HP = flags.DEFINE_multi_string("hp", [], "One hyperparameter: --hp.name=value. Repeatable. [none]")
EPOCHS = flags.DEFINE_integer("epochs", None, "Short for --hp.epochs.", 1)
STEPS = flags.DEFINE_integer("steps_per_epoch", None, "Short for --hp.steps_per_epoch.", 1)
PRECISION = flags.DEFINE_string("precision", None, "Short for --hp.precision. [the preset's]")
VALIDATION = flags.DEFINE_string("validation_folds", None, "Comma-separated. [last but one]")
TEST = flags.DEFINE_string("test_folds", None, "Comma-separated; evaluate's default. [last]")
SELECT_BY = flags.DEFINE_string(
    "select_by",
    "mean",
    "Class or region whose validation Dice chooses the epoch, or MEASURE:REGION as in "
    "sensitivity:WT.",
)
POSITIVE_FRACTION = flags.DEFINE_float(
    "positive_fraction",
    1.0,
    "Share of the training subjects of the dataset's first group that train, drawn by the seed; "
    "those of other groups all train.",
)
SEED = flags.DEFINE_integer("seed", 0, "Of weights, batches and augmentation.", 0)
DETERMINISTIC = flags.DEFINE_bool(
    "deterministic", False, "Equal runs, bit for bit; slower on GPUs."
)


def main() -> None:
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv import methods  # noqa: PLC0415
    from tfadv.run.run import Run  # noqa: PLC0415
    from tfadv.run.split import HeldOut  # noqa: PLC0415
    from tfadv.run.work_dir import WorkDir  # noqa: PLC0415
    from tfadv.training import train  # noqa: PLC0415
    from tfrecords.reading.record_set import open_record_set  # noqa: PLC0415

    method = methods.get(METHOD.value).configure(PRESET.value, _overrides())
    run = Run.new(
        method,
        open_record_set(Path(RECORDS.value)),
        HeldOut(cli.comma_list(VALIDATION.value), cli.comma_list(TEST.value)),
        seed=SEED.value,
        positive_fraction=POSITIVE_FRACTION.value,
        selected_by=SELECT_BY.value,
    )
    if DETERMINISTIC.value:
        train.make_deterministic()
    work_dir = WorkDir(Path(WORK_DIR.value or f"runs/{method.name}"))
    train.train(work_dir, run)
    print(f"TensorBoard: tensorboard --logdir {work_dir.tensorboard}")
    cli.tell(f"Next: python launch/evaluate.py --work_dir {work_dir.folder}")


def _overrides() -> list[str]:
    short = {
        "epochs": EPOCHS.value,
        "steps_per_epoch": STEPS.value,
        "precision": PRECISION.value,
    }
    return [*HP.value, *(f"{name}={value}" for name, value in short.items() if value is not None)]
