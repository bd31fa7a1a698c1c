"""Exports a trained run's best epoch, or those of several runs as one, as a SavedModel.

python launch/export.py --work_dir runs/kohl_purely_adversarial
python launch/export.py --work_dir runs/seed_0 runs/seed_1 runs/seed_2 --out_dir models/three
python launch/export.py --work_dir runs/kohl_cross_entropy_folds --mirror --largest_component

Of several runs, and of a cross-validation's (train --all_folds), the model averages the
probabilities, then decides once. Add --mirror and it averages over mirrored volumes as well.

Each export is a new version, a folder in --out_dir named 1, 2 and so on; none is ever replaced.
Whoever takes a model takes such a folder, of which the latest version counts, or a version's own.

serving_default(volume: float32 [Z, Y, X, C], raw intensities) gives label (uint8 [Z, Y, X]),
probabilities (float32 [Z, Y, X, K]) and quality (float32 [N]), what the model says of its label
map: entropy, of several runs their agreement, and the verdicts of discriminators and of judges
(launch/judge.py); without_probabilities gives the others alone. What a client must know stands in
assets/description.json: the runs, what chose them, what was measured of their validation and test
subjects, for --largest_component and --calibrate among it. README.md, the model's card, says it in
words.

--format=onnx writes one file instead, MODEL.onnx, with the same input and answers, for onnxruntime
without TensorFlow. The description stands in its metadata, and beside it as MODEL.json.
"""

from dataclasses import replace
from pathlib import Path

from absl import flags

from tfadv.programs import cli, early
from tfadv.programs.start import start_tensorflow
from tfrecords.errors import SettingError

WORK_DIR = flags.DEFINE_multi_string(
    "work_dir",
    None,
    "Run or cross-validation made by launch/train.py; more may follow. [required]",
    required=True,
)
OUT_DIR = flags.DEFINE_string(
    "out_dir",
    None,
    "The model's folder, to which a version is added. [models/METHOD; of --format=onnx "
    "models/METHOD.onnx, a file]",
)
FORMAT = flags.DEFINE_enum(
    "format", "savedmodel", ["savedmodel", "onnx"], "A folder for TensorFlow, or one ONNX file."
)
MIRROR = flags.DEFINE_bool(
    "mirror",
    False,
    "Average over the volume mirrored along none, some and all of --mirror_axes: each axis doubles "
    "the work.",
)
MIRROR_AXES = flags.DEFINE_string(
    "mirror_axes",
    None,
    "With --mirror: comma-separated, among y,x of networks of slices, z,y,x of those of volumes; "
    "x is left to right unless --orientation says otherwise. [those along which training mirrored: "
    "as in nnU-Net; x for kohl_*, else none]",
)
LARGEST = flags.DEFINE_bool(
    "largest_component",
    False,
    "Keep the largest connected component alone of each class or region where that raises the "
    "mean Dice of the runs' validation subjects.",
)

CALIBRATE = flags.DEFINE_bool(
    "calibrate",
    False,
    "Measure on validation subjects on which no run trained, as they are and degraded, what Dice "
    "to expect by what the model says of a label map.",
)


def main(names: list[str]) -> None:
    if MIRROR_AXES.value and not MIRROR.value:
        raise SettingError("mirror_axes", "expected --mirror as well")
    is_onnx = FORMAT.value == "onnx"
    named = OUT_DIR.value
    if named and is_onnx != named.endswith(".onnx"):
        raise SettingError(
            "out_dir", f"expected a name ending in .onnx with --format=onnx alone, received {named}"
        )
    if CALIBRATE.value and is_onnx:
        raise SettingError(
            "calibrate", "expected without --format=onnx: such a file says nothing of quality"
        )
    folders = [Path(folder) for folder in (*WORK_DIR.value, *names)]
    early.require_there(early.RUN, *folders)
    start_tensorflow()
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.evaluation import calibration, component_choice  # noqa: PLC0415
    from tfadv.evaluation.held_out import held_out_scores  # noqa: PLC0415
    from tfadv.inference.export import export  # noqa: PLC0415
    from tfadv.inference.versions import require_versions  # noqa: PLC0415
    from tfadv.run.cross_validation import runs_in, tell_of_unfinished  # noqa: PLC0415
    from tfadv.run.ensemble import load_ensemble  # noqa: PLC0415

    work_dirs = runs_in(folders)
    ensemble = load_ensemble(work_dirs, MIRROR.value, cli.comma_list(MIRROR_AXES.value))
    if len(work_dirs) > 1:
        tell_of_unfinished(work_dirs)
    default = f"models/{ensemble.first.method.name}" + (".onnx" if is_onnx else "")
    out_dir = Path(OUT_DIR.value or default)
    if is_onnx:
        from tfadv.inference.onnx_file import export_onnx, require_own  # noqa: PLC0415

        require_own(out_dir)
    else:
        require_versions(out_dir)
    if CALIBRATE.value:
        calibration.require_unseen(ensemble)  # Before what takes minutes.
    components = component_choice.choose(ensemble) if LARGEST.value else []
    for note in components:
        print(component_choice.sentence(note))
    expected = calibration.calibrate(ensemble) if CALIBRATE.value else None
    if expected:
        print(calibration.sentence(expected))
    predictor = ensemble.predictor(components)
    described = ensemble.describe(predictor, components, expected)
    description = replace(described, scores=held_out_scores(ensemble, components))
    of_runs = f", of {len(work_dirs)} runs" if len(work_dirs) > 1 else ""
    if is_onnx:
        export_onnx(predictor, description, out_dir)
        print(f"model: {out_dir}{of_runs}, with its description in {out_dir.with_suffix('.json')}")
        return
    version = export(predictor, description, out_dir)
    images = " ".join(f"--image {name}.nii.gz" for name in ensemble.first.manifest.modalities)
    print(f"model: {version}{of_runs}")
    cli.tell(f"Next: python launch/predict.py --model {out_dir} {images} --output label.nii.gz")
