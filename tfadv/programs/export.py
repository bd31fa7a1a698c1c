"""Exports a trained run's best epoch as a SavedModel.

python launch/export.py --work_dir runs/kohl_purely_adversarial

serving_default(volume: float32 [Z, Y, X, C], raw intensities) gives label (uint8 [Z, Y, X]) and
probabilities (float32 [Z, Y, X, K]). What a client must know stands in assets/description.json.
"""

from pathlib import Path

from absl import flags

from tfadv.programs import cli

WORK_DIR = flags.DEFINE_string(
    "work_dir", None, "Run made by launch/train.py. [required]", required=True
)
OUT_DIR = flags.DEFINE_string("out_dir", None, "Model to write. [models/METHOD]")


def main() -> None:
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.inference.export import describe, export  # noqa: PLC0415
    from tfadv.run.run import load_run  # noqa: PLC0415
    from tfadv.run.work_dir import WorkDir  # noqa: PLC0415

    run, _, predictor = load_run(WorkDir(Path(WORK_DIR.value)))
    out_dir = Path(OUT_DIR.value or f"models/{run.method.name}")
    description = describe(predictor, run.manifest, run.method.name, run.method.values)
    export(predictor, description, out_dir)
    images = " ".join(f"--image {name}.nii.gz" for name in run.manifest.modalities)
    print(f"model: {out_dir}")
    cli.tell(f"Next: python launch/predict.py --model {out_dir} {images} --output label.nii.gz")
