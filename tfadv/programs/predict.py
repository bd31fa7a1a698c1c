"""Segments one subject with an exported model; the label map lies on the first image's grid.

python launch/predict.py --model models/kohl_hybrid --image t1.nii.gz --output label.nii.gz

Give one --image per modality, in the order of the model's assets/description.json.

A model is a TensorFlow SavedModel, and that is a program: use those of people whom you trust. A
folder whose files are not those that were exported is refused.
"""

from pathlib import Path

from absl import flags

MODEL = flags.DEFINE_string(
    "model", None, "Model made by launch/export.py. [required]", required=True
)
IMAGE = flags.DEFINE_multi_string("image", None, "One file per modality. [required]", required=True)
RESAMPLE = flags.DEFINE_bool(
    "resample",
    False,
    "Bring images that lie on other grids onto the first one's, such as ADC onto T2w.",
)
OUTPUT = flags.DEFINE_string("output", None, "NIfTI file to write. [required]", required=True)


def main() -> None:
    # Imported here, so that --help and wrong flags do not wait for TensorFlow.
    from tfadv.inference.prediction import predict  # noqa: PLC0415

    images = [Path(image) for image in IMAGE.value]
    predict(Path(MODEL.value), images, Path(OUTPUT.value), resample=RESAMPLE.value)
    print(f"label map: {OUTPUT.value}")
