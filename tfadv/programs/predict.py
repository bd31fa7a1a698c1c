"""Segments subjects with an exported model; label maps lie on their first images' grids.

python launch/predict.py --model models/kohl_hybrid --image t1.nii.gz --output label.nii.gz
python launch/predict.py --model models/kohl_hybrid --images FOLDER --output predictions

python launch/predict.py --server grpc://localhost:8081/kohl_hybrid --images FOLDER --output labels

Give one --image per modality, in the order of the model's assets/description.json. Or give a folder
of subjects as --images, which are laid out in one of these ways, where NAME are the modalities':

    case_0000.nii.gz, case_0001.nii.gz, ...                         numbered, as nnU-Net does
    case_NAME.nii.gz, or case/case_NAME.nii.gz, or case/NAME.nii.gz
    case.nii.gz, or case/case.nii.gz                                4D where there are several

.nii, .mha, .mhd, .nrrd and folders of one DICOM series are as good. Or give a CSV as --images, with
the columns subject and one for each NAME. A folder's predictions.csv says what the model thinks of
each label map and, of a model exported with --calibrate, what Dice to expect.

A model is a TensorFlow SavedModel, and that is a program: use those of people whom you trust. A
folder whose files are not those that were exported is refused. A model at a server, as in
docs/serving.md, gives the same label maps; all but the network is done here, without TensorFlow.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from tfadv.programs import early
from tfadv.programs.start import start_tensorflow
from tfrecords.errors import SettingError

if TYPE_CHECKING:
    from tfadv.inference.segmented import Model

MODEL = flags.DEFINE_string(
    "model",
    None,
    "Model made by launch/export.py: a version, or the folder of all, for the latest. [required, "
    "or --server]",
)
SERVER = flags.DEFINE_string(
    "server",
    None,
    "Model at a server: grpc://HOST:PORT/NAME, or with grpcs, http or https; /VERSION may follow. "
    "Where it is away, it is asked again for five minutes. [required, or --model]",
)
IMAGE = flags.DEFINE_multi_string(
    "image", None, "One file, or folder of a DICOM series, per modality. [required, or --images]"
)
IMAGES = flags.DEFINE_string(
    "images", None, "A folder of subjects, or a CSV of them. [required, or --image]"
)
RESAMPLE = flags.DEFINE_bool(
    "resample",
    False,
    "Bring images that lie on other grids onto the first one's, such as ADC onto T2w.",
)
SAVE = flags.DEFINE_bool(
    "save_probabilities",
    False,
    "Write what the model gives each class or region as well, in the order of maps in its "
    "assets/description.json, to OUTPUT_probabilities.nii.gz or SUBJECT_probabilities.nii.gz.",
)
OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "Make all label maps of --images anew; otherwise the same command goes on with those missing.",
)
FLAG_BELOW = flags.DEFINE_float(
    "flag_below",
    None,
    "Tell of label maps whose predicted Dice is below this; of models exported with --calibrate. "
    "[none]",
    0,
    1,
)
OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "NIfTI file to write, or DICOM segmentation (.dcm) of a series; of --images, a folder for "
    "SUBJECT.nii.gz. [required]",
    required=True,
)


def main() -> None:
    if bool(MODEL.value) == bool(SERVER.value):
        received = "both" if SERVER.value else "none"
        raise SettingError("model", f"expected this or --server, received {received}")
    if bool(IMAGE.value) == bool(IMAGES.value):
        received = "both" if IMAGES.value else "none"
        raise SettingError("images", f"expected this or --image, received {received}")
    if OVERWRITE.value and IMAGE.value:
        raise SettingError("overwrite", "expected with --images alone: --image always writes anew")
    _require_there()
    model = _at_server(SERVER.value) if SERVER.value else _in_folder(MODEL.value or "")
    # Imported here, so that --help and wrong flags do not wait for them.
    from tfadv.inference.folder import predict_all  # noqa: PLC0415
    from tfadv.inference.prediction import predict  # noqa: PLC0415
    from tfadv.inference.trust import TABLE  # noqa: PLC0415

    output = Path(OUTPUT.value)
    how: dict[str, Any] = {
        "resample": RESAMPLE.value,
        "save_probabilities": SAVE.value,
        "flag_below": FLAG_BELOW.value,
    }
    if IMAGES.value:
        counts = predict_all(model, Path(IMAGES.value), output, overwrite=OVERWRITE.value, **how)
        print(f"label maps: {output} ({counts.made} made, {counts.kept} kept)")
        print(f"what to expect of them: {output / TABLE}")
    else:
        said = predict(model, [Path(image) for image in IMAGE.value or ()], output, **how)
        print(f"label map: {output}\n{said}")


def _require_there() -> None:
    """Raises UserError where flags name what cannot be; before a server is waited for."""
    if SERVER.value:
        from tfadv.inference.address import Address  # noqa: PLC0415

        Address.parse(SERVER.value)
    else:
        early.require_there(early.MODEL, Path(MODEL.value or ""))
    given = [IMAGES.value] if IMAGES.value else IMAGE.value or []
    early.require_there("images", *map(Path, given))


def _in_folder(given: str) -> "Model":
    start_tensorflow()
    from tfadv.inference.model import local  # noqa: PLC0415
    from tfadv.inference.versions import latest  # noqa: PLC0415

    return local(latest(Path(given)))


def _at_server(given: str) -> "Model":
    from tfadv.inference.address import Address  # noqa: PLC0415

    address = Address.parse(given)
    from tfadv.inference.server import remote  # noqa: PLC0415

    return remote(address)
