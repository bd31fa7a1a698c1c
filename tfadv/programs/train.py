"""Trains a method on a record set; the same command resumes a run that was stopped.

python launch/train.py --method kohl_purely_adversarial --preset small
python launch/train.py --method kohl_hybrid --hp.width=32 --hp.epochs=60
python launch/train.py --plan plans/decathlon.toml --line adversarial
python launch/train.py --preset auto --records records/decathlon --minutes 60
python launch/train.py --method kohl_hybrid --all_folds --work_dir runs/kohl_hybrid_folds
python launch/train.py --method kohl_hybrid --init_from models/kohl_cross_entropy
srun --ntasks-per-node=1 python launch/train.py --method kohl_hybrid --nodes=slurm

--preset auto makes a plan as launch/plan.py does, keeps it in the run's folder and trains its
baseline, or the --method that is given.

Watch it with: tensorboard --logdir runs
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from absl import flags, logging

from tfadv.programs import cli, early
from tfadv.programs.start import start_tensorflow
from tfrecords.errors import SettingError

if TYPE_CHECKING:
    from tfadv.methods.method import Method
    from tfadv.run.run import Run
    from tfadv.run.split import HeldOut
    from tfadv.run.work_dir import WorkDir
    from tfadv.training.workers import Workers
    from tfrecords.reading.record_set import RecordSet

METHOD = flags.DEFINE_string(
    "method", None, "See launch/methods.py. [required, or --plan or --preset auto]"
)
PLAN = flags.DEFINE_string(
    "plan",
    None,
    "File made by launch/plan.py, which gives method, record set and hyperparameters. [none]",
)
LINE = flags.DEFINE_string("line", None, "Which of the plan's lines to train. [its first]")
DEMO = "records/demo_tumour"
RECORDS = flags.DEFINE_string("records", None, f"Record set to train on. [the plan's, else {DEMO}]")
WORK_DIR = flags.DEFINE_string("work_dir", None, "Run to write or resume. [runs/METHOD]")
PRESET = flags.DEFINE_enum(
    "preset",
    "paper",
    ["paper", "small", "auto"],
    "The paper's values, ones that fit a CPU, or ones that fit data, machine and --minutes.",
)
MINUTES = flags.DEFINE_float("minutes", 60, "With --preset auto: how long to train.", 0.5)
HP = flags.DEFINE_multi_string("hp", [], "One hyperparameter: --hp.name=value. Repeatable. [none]")
EPOCHS = flags.DEFINE_integer("epochs", None, "Short for --hp.epochs.", 1)
STEPS = flags.DEFINE_integer("steps_per_epoch", None, "Short for --hp.steps_per_epoch.", 1)
PRECISION = flags.DEFINE_string("precision", None, "Short for --hp.precision. [the preset's]")
VALIDATION = flags.DEFINE_string("validation_folds", None, "Comma-separated. [last but one]")
TEST = flags.DEFINE_string("test_folds", None, "Comma-separated; evaluate's default. [last]")
ALL_FOLDS = flags.DEFINE_bool(
    "all_folds",
    False,
    "Cross-validation: a run for each fold, which it tests, while the next one validates, in "
    "WORK_DIR/fold_FOLD and a process of its own. With --test_folds, these test all runs, and each "
    "other fold validates one.",
)
INIT_FROM = flags.DEFINE_string(
    "init_from",
    None,
    "Run, or exported model (its latest version, or one), to begin with: weights that fit by "
    "network, variable and shape; others start afresh. [random weights]",
)
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
UNLABELLED = flags.DEFINE_integer(
    "unlabelled_subjects",
    None,
    "With --hp.unlabelled=true: how many subjects' images train without labels, drawn by the seed "
    "from those without a label map and those that --positive_fraction leaves out. [the plan's, "
    "else all without a label map]",
    1,
)
NODES = flags.DEFINE_enum(
    "nodes",
    None,
    ["slurm", "tf_config"],
    "Several nodes train this run, a process on each, started by the same command: who they are, "
    "by srun's variables or by TF_CONFIG. See docs/scale.md. [TF_CONFIG, if it names several]",
)
TRACKER = flags.DEFINE_string(
    "tracker",
    None,
    "Your function, as module:function, that starts who is told what TensorBoard shows, such as "
    "MLflow or W&B: see docs/tensorboard.md. [none]",
)
SEED = flags.DEFINE_integer("seed", 0, "Of weights, batches and augmentation.", 0)
DETERMINISTIC = flags.DEFINE_bool(
    "deterministic", False, "Equal runs, bit for bit; slower on GPUs."
)


def main() -> None:
    _require_one_source()
    _require_there()
    workers = _start()
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv import methods  # noqa: PLC0415
    from tfadv.run.split import HeldOut  # noqa: PLC0415
    from tfadv.run.work_dir import WorkDir  # noqa: PLC0415
    from tfadv.study.processes import leave_with_parent  # noqa: PLC0415
    from tfrecords.reading.record_set import open_record_set  # noqa: PLC0415

    leave_with_parent()
    held_out = HeldOut(cli.comma_list(VALIDATION.value), cli.comma_list(TEST.value))
    chosen = _chosen(held_out)
    method = methods.get(chosen.method).configure(chosen.preset, [*chosen.overrides, *_overrides()])
    records = open_record_set(chosen.records)
    work_dir = WorkDir(Path(WORK_DIR.value or _default_work_dir(chosen)))
    if ALL_FOLDS.value:
        _train_all(work_dir.folder, method, records, held_out, chosen.unlabelled)
        logs = work_dir.folder
    else:
        _train(work_dir, _run(work_dir, method, records, held_out, chosen.unlabelled), workers)
        logs = work_dir.tensorboard
    if not workers.chief:
        return
    print(f"TensorBoard: tensorboard --logdir {logs}")
    cli.tell(f"Next: python launch/evaluate.py --work_dir {work_dir.folder}")


def _start() -> "Workers":
    """TensorFlow, and whoever trains with this process; only the chief tells what happens."""

    def join() -> "Workers":
        from tfadv.training import nodes, workers  # noqa: PLC0415

        found = nodes.nodes_of(NODES.value)
        if found:
            _require_one_run()
        return workers.join(found)

    if NODES.value or "TF_CONFIG" in os.environ:
        # When a worker is lost, TensorFlow's many lines would bury our one.
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    workers = start_tensorflow(join)
    if not workers.chief:
        logging.set_verbosity(logging.ERROR)
    return workers


def _require_one_run() -> None:
    """Raises SettingError where several nodes cannot do what flags ask for."""
    if ALL_FOLDS.value:
        raise SettingError("all_folds", "expected one run, which several nodes train together")
    if PRESET.value == "auto":
        raise SettingError(
            "preset",
            "expected paper, small or a plan that was made before (python launch/plan.py), which "
            "several nodes read, received auto",
        )


class _Chosen(NamedTuple):
    """What a plan or flags say."""

    method: str
    records: Path
    preset: str
    overrides: list[str]
    unlabelled: int = 0


def _require_one_source() -> None:
    """Raises SettingError where flags contradict each other; without TensorFlow, at once."""
    if PLAN.value and (METHOD.value or PRESET.present):
        raise SettingError("plan", "expected neither --method nor --preset, which it gives")
    if LINE.value and not PLAN.value:
        raise SettingError("line", "expected --plan as well")
    if not (METHOD.value or PLAN.value or PRESET.value == "auto"):
        raise SettingError("method", "expected this, --plan or --preset auto, received none")


def _require_there() -> None:
    """Raises UserError where flags name what is not there, likewise."""
    if METHOD.value:
        early.require_method(METHOD.value)
    if PLAN.value:
        early.require_there("a plan made by launch/plan.py", Path(PLAN.value))
    if RECORDS.value or not PLAN.value:
        early.require_there(early.RECORDS, Path(RECORDS.value or DEMO))
    if INIT_FROM.value:
        early.require_there(f"{early.RUN}, or {early.MODEL}", Path(INIT_FROM.value))


def _chosen(held_out: "HeldOut") -> _Chosen:
    records = Path(RECORDS.value or DEMO)
    if PLAN.value:
        return _planned(Path(PLAN.value))
    if PRESET.value == "auto":
        return _planned(_own_plan(records, held_out))
    assert METHOD.value  # As `_require_one_source` holds.
    return _Chosen(METHOD.value, records, PRESET.value, [])


def _planned(path: Path) -> _Chosen:
    from tfadv.study.plan import read_study  # noqa: PLC0415

    plan = read_study(path)
    line = LINE.value or next(iter(plan.lines))
    if line not in plan.lines:
        raise SettingError("line", f"expected one of {', '.join(plan.lines)}, received {line}")
    records = Path(RECORDS.value) if RECORDS.value else plan.records
    entry = plan.lines[line]
    return _Chosen(entry.method, records, plan.preset, plan.overrides(line), entry.unlabelled)


def _own_plan(records: Path, held_out: "HeldOut") -> Path:
    """The run's plan, made if it is not there: what is measured again would be another one."""
    from tfadv.study.proposal import limits_of, propose, write  # noqa: PLC0415
    from tfrecords.reading.record_set import open_record_set  # noqa: PLC0415

    path = Path(WORK_DIR.value or _auto_dir(records), "plan.toml")
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)  # Before minutes of measuring.
        limits = limits_of(MINUTES.value, None)
        write(path, propose(open_record_set(records), limits, METHOD.value, held_out))
    return path


def _default_work_dir(chosen: _Chosen) -> str:
    return _auto_dir(chosen.records) if PRESET.value == "auto" else f"runs/{chosen.method}"


def _auto_dir(records: Path) -> str:
    """Known before the method is."""
    return f"runs/{METHOD.value or records.resolve().name}_auto"


def _train(work_dir: "WorkDir", run: "Run", workers: "Workers") -> None:
    from tfadv.run.cross_validation import require_no_folds  # noqa: PLC0415
    from tfadv.training import train  # noqa: PLC0415
    from tfadv.training.tracker import find_tracker  # noqa: PLC0415

    require_no_folds(work_dir)
    tracker = find_tracker(TRACKER.value) if TRACKER.value else None
    if DETERMINISTIC.value:
        train.make_deterministic()
    train.train(work_dir, run, tracker, workers)


def _train_all(
    folder: Path,
    method: "Method",
    records: "RecordSet",
    held_out: "HeldOut",
    unlabelled: int,
) -> None:
    from tfadv.run.cross_validation import fold_dirs  # noqa: PLC0415
    from tfadv.study.folds import train_all  # noqa: PLC0415

    if held_out.validation:
        raise SettingError(
            "validation_folds",
            "expected none with --all_folds, where each fold validates in its turn, received "
            f"{','.join(held_out.validation)}",
        )
    splits = fold_dirs(folder, records.manifest.held_out_folds, held_out.test)
    runs = {
        work_dir: _run(work_dir, method, records, split, unlabelled)
        for work_dir, split in splits.items()
    }
    train_all(folder, runs, [sys.executable, *sys.argv])


def _run(
    work_dir: "WorkDir",
    method: "Method",
    records: "RecordSet",
    held_out: "HeldOut",
    unlabelled: int,
) -> "Run":
    from tfadv.run.initial import initial_of  # noqa: PLC0415
    from tfadv.run.run import Run  # noqa: PLC0415
    from tfadv.run.settings import RANDOM  # noqa: PLC0415

    source = INIT_FROM.value
    return Run.new(
        method,
        records,
        held_out,
        seed=SEED.value,
        positive_fraction=POSITIVE_FRACTION.value,
        selected_by=SELECT_BY.value,
        initial=initial_of(Path(source), work_dir) if source else RANDOM,
        unlabelled_subjects=UNLABELLED.value or unlabelled,
    )


def _overrides() -> list[str]:
    short = {
        "epochs": EPOCHS.value,
        "steps_per_epoch": STEPS.value,
        "precision": PRECISION.value,
    }
    return [*HP.value, *(f"{name}={value}" for name, value in short.items() if value is not None)]
