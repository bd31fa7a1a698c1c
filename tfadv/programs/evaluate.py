"""Scores trained runs, or a model, on held-out subjects: tables, pictures, of a run report.html.

python launch/evaluate.py --work_dir runs/kohl_purely_adversarial
python launch/evaluate.py --work_dir runs/kohl_cross_entropy_folds
python launch/evaluate.py --model models/kohl_cross_entropy --records records/decathlon --folds 9

Of a cross-validation (train --all_folds), or of several runs, each run is scored on the folds that
it tests, and all together give one table. A model is scored as a server would answer, ensembles and
all options of export included; folds with subjects that any of its runs trained on are refused.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from tfadv.programs import cli, early
from tfadv.programs.start import start_tensorflow
from tfrecords.errors import SettingError

if TYPE_CHECKING:
    from tfadv.evaluation.served import Served
    from tfadv.inference.predictor import Predictor
    from tfadv.run.work_dir import WorkDir
    from tfrecords.reading.record_set import RecordSet

WORK_DIR = flags.DEFINE_multi_string(
    "work_dir",
    None,
    "Run or cross-validation made by launch/train.py; more may follow. [required, or --model]",
)
MODEL = flags.DEFINE_string(
    "model",
    None,
    "Model made by launch/export.py, with --records and --folds: a version, or the folder of "
    "all, for the latest. [none]",
)
RECORDS = flags.DEFINE_string("records", None, "Of a model: record set to score it on. [none]")
FOLDS = flags.DEFINE_string("folds", None, "Comma-separated. [the run's test folds]")
OUT_DIR = flags.DEFINE_string(
    "out_dir",
    None,
    "Folder of the tables. [the run's or cross-validation's; of several evaluations/METHOD, of a "
    "model evaluations/MODEL-VERSION]",
)
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
QUALITY = flags.DEFINE_bool(
    "quality",
    False,
    "Measure instead how well what the run or model says of its label maps tells their Dice, on "
    "subjects as they are and degraded: quality.csv, quality.txt and quality.png.",
)
SAVE = flags.DEFINE_bool("save_predictions", False, "Write label maps onto the sources' grids.")


def main(names: list[str]) -> None:
    folders = [Path(folder) for folder in (*(WORK_DIR.value or []), *names)]
    if bool(folders) == bool(MODEL.value):
        received = "both" if folders else "none of them"
        raise SettingError(
            "work_dir", f"expected runs, or instead of them --model, received {received}"
        )
    if OUT_DIR.value and Path(OUT_DIR.value).is_file():
        raise SettingError("out_dir", f"expected a folder, received the file {OUT_DIR.value}")
    if QUALITY.value and (SAVE.value or EMPTY_MM.value is not None):
        ignored = "save_predictions" if SAVE.value else "empty_mm"
        raise SettingError(ignored, "expected without --quality, which scores nothing else")
    if MODEL.value:
        _evaluate_model(Path(MODEL.value))
    else:
        _evaluate_runs(folders)


def _evaluate_runs(folders: list[Path]) -> None:
    early.require_there(early.RUN, *folders)
    start_tensorflow()
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.evaluation.cross_validation import evaluate_all  # noqa: PLC0415
    from tfadv.evaluation.evaluate import evaluate  # noqa: PLC0415
    from tfadv.run.cross_validation import runs_in, tell_of_unfinished  # noqa: PLC0415
    from tfadv.run.ensemble import load_ensemble  # noqa: PLC0415
    from tfadv.run.run import load_run  # noqa: PLC0415
    from tfadv.run.work_dir import WorkDir  # noqa: PLC0415
    from tfadv.study.run_report import write_run_report  # noqa: PLC0415

    work_dirs = runs_in(folders)
    folds = cli.comma_list(FOLDS.value)
    if len(work_dirs) == 1:
        out = WorkDir(Path(OUT_DIR.value or work_dirs[0].folder))
        if QUALITY.value:
            ensemble = load_ensemble(work_dirs)
            run = ensemble.first
            _measure_quality(
                ensemble.predictor(), run.records, folds or run.settings.test_folds, out
            )
            return
        trained = load_run(work_dirs[0])
        folds = folds or trained.run.settings.test_folds
        tables = evaluate(out, trained.predictor, trained.run.records, folds, **_options())
        report = write_run_report(out, trained, work_dirs[0].progress(), tables, folds)
        _tell(out, [out])
        print(f"report: {report}")
    elif QUALITY.value:
        raise SettingError(
            "quality", "expected one run, or several as a --model with --records and --folds"
        )
    elif folds:
        raise SettingError(
            "folds",
            f"expected none of several runs, each of which is scored on those that it tests, "
            f"received {','.join(folds)}",
        )
    else:
        tell_of_unfinished(work_dirs)
        together = Path("evaluations", work_dirs[0].settings().method)
        out = WorkDir(Path(OUT_DIR.value or (together if folders[1:] else folders[0])))
        evaluate_all(work_dirs, out, **_options())
        _tell(out, work_dirs)
    cli.tell(f"Next: python launch/export.py --work_dir {' '.join(map(str, folders))}")


def _evaluate_model(given: Path) -> None:
    folds = cli.comma_list(FOLDS.value)
    if not RECORDS.value or not folds:
        raise SettingError("model", "expected --records and --folds as well")
    early.require_there(early.MODEL, given)
    early.require_there(early.RECORDS, Path(RECORDS.value))
    start_tensorflow()
    from tfadv.evaluation.evaluate import evaluate  # noqa: PLC0415
    from tfadv.evaluation.served import Served  # noqa: PLC0415
    from tfadv.inference.versions import latest, name_of  # noqa: PLC0415
    from tfadv.run.work_dir import WorkDir  # noqa: PLC0415
    from tfrecords.reading.record_set import open_record_set  # noqa: PLC0415

    records = open_record_set(Path(RECORDS.value))
    model_dir = latest(given)
    served = Served(model_dir)
    served.require_unseen(records, folds)
    out = WorkDir(Path(OUT_DIR.value or f"evaluations/{name_of(model_dir)}"))
    if QUALITY.value:
        _measure_quality(served, records, folds, out)
        return
    evaluate(out, served, records, folds, **_options())
    _tell(out, [out])


def _measure_quality(
    predictor: "Predictor | Served", records: "RecordSet", folds: tuple[str, ...], out: "WorkDir"
) -> None:
    from tfadv.evaluation import quality  # noqa: PLC0415

    out.folder.mkdir(parents=True, exist_ok=True)  # Before what takes minutes.
    measured = quality.measure(predictor, records, folds)
    written = quality.write(measured, out.folder)
    print(quality.describe(measured))
    print(f"tables and picture: {', '.join(map(str, written))}")


def _options() -> dict[str, Any]:
    return {"save_predictions": SAVE.value, "empty_mm": EMPTY_MM.value}


def _tell(out: "WorkDir", runs: "list[WorkDir]") -> None:
    """The summary, and what was written: tables in one folder, the rest in that of each run."""
    print(out.summary.read_text())
    print(f"tables: {out.metrics}, {out.subjects}")
    pictures = [*(run.picture for run in runs), out.boxplots]
    print(f"pictures: {', '.join(map(str, pictures))}")
    if SAVE.value:
        print(f"label maps: {', '.join(str(run.predictions) for run in runs)}")
