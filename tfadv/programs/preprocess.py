"""NIfTI volumes to a record set: sharded TFRecords and their manifest.

python launch/preprocess.py
python launch/preprocess.py --dataset decathlon --data_dir Task04_Hippocampus --folds 10
python launch/preprocess.py --verify records/decathlon

Every subject is checked before anything is written. A run that was killed goes on where it stopped
when the same command is given again.
"""

import math
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from tfadv.programs import cli, early
from tfadv.programs.start import start_tensorflow
from tfrecords.errors import SettingError, UserError
from tfrecords.names import shortened
from tfrecords.records.views import VIEWS, Patches, Slices, View, Volumes
from tfrecords.runners import CONTEXT
from tfrecords.sources import layouts
from tfrecords.sources.subject import TRAINING, select_modalities

if TYPE_CHECKING:
    from tfrecords.records.manifest import Manifest

DATASET = flags.DEFINE_enum("dataset", "demo_tumour", layouts.names(), "Source layout.")
DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of the sources; for table and prostate also a CSV. [the demo datasets make their own]",
)
PREPARED_DIR = flags.DEFINE_string(
    "prepared_dir",
    None,
    "Prostate: where the volumes are written that preparation makes of the sources. "
    "[data/prostate/NAME-HASH, by the sources' name and place]",
)
OUT_DIR = flags.DEFINE_string("out_dir", None, "Record set to write. [records/DATASET]")
METHOD = flags.DEFINE_string("method", None, "Cut the view that this method trains on. [none]")
VIEW = flags.DEFINE_enum("view", None, list(VIEWS), "How to cut training examples. [slices]")
PATCH_SIZE = flags.DEFINE_integer(
    "patch_size", None, "Patches: height and width, voxels. [the method's, or 87]", 1
)
LABEL_SIZE = flags.DEFINE_integer(
    "label_size", None, "Patches: the same of their labelled centre. [the method's, or 21]", 1
)
PATCHES = flags.DEFINE_integer("patches_per_class", 500, "Patches: per class and subject.", 1)
FOREGROUND_SLICES = flags.DEFINE_bool(
    "foreground_slices",
    False,
    "Slices: leave those without any foreground label out of training; whole volumes keep them.",
)
FOLDS = flags.DEFINE_integer("folds", 5, "Folds to draw, unless the source prescribes them.", 2)
TRAINING_ONLY = flags.DEFINE_list(
    "training_only", [], "Groups whose subjects neither validate nor test: fold training. [none]"
)
SPACING = flags.DEFINE_string(
    "spacing", None, "Resample to X,Y,Z mm; 0 keeps the source's own along an axis. [all its own]"
)
CROP = flags.DEFINE_string(
    "crop",
    None,
    "Keep X,Y,Z voxels about the centre, after --orientation and --spacing; along an axis with "
    "fewer, all. Validation and evaluation measure within them; label maps that evaluation writes "
    "are background elsewhere. [all]",
)
MODALITIES = flags.DEFINE_list("modalities", None, "Those to keep, in this order. [all]")
ORIENTATION = flags.DEFINE_string("orientation", "RAS", "Axis codes; slices lie across the last.")
UNLABELLED = flags.DEFINE_bool(
    "unlabelled",
    False,
    "Take subjects without a label map as well, as whole volumes: of table, rows with an empty "
    "label; of decathlon, imagesTs; of bids, participants who have none.",
)
SKIP = flags.DEFINE_bool("skip_invalid", False, "Leave invalid subjects out, and note them.")
WORKERS = flags.DEFINE_integer("workers", os.cpu_count() or 1, "Worker processes.", 1)
CLUSTER = flags.DEFINE_string(
    "cluster",
    "",
    "Address of a Dask scheduler, such as tcp://host:8786, whose workers do it instead; they share "
    "the file system. [none: --workers processes here]",
)
VERIFY = flags.DEFINE_string(
    "verify", None, "Write nothing: compare every byte of this record set with its manifest. [none]"
)
SEED = flags.DEFINE_integer("seed", 0, "Of folds, patches and the examples' order.", 0)

# To begin with: a baseline of each view, which soon tells whether the data can be learnt; of slices
# with regions, the one whose adversarial partner has a map for each.
BASELINES: dict[type[View], str] = {
    Slices: "kohl_cross_entropy",
    Patches: "moeskops_dilated",
    Volumes: "reciprocal_dice",
}
OF_REGIONS = "segan_unet_softmax"


def main() -> None:
    if VERIFY.value is not None:
        _verify(Path(VERIFY.value))
        return
    # Imported here, so that --help and wrong flags do not wait for readers of volumes.
    from tfrecords.writing.preprocessing import Options, preprocess  # noqa: PLC0415

    data_dir = Path(DATA_DIR.value) if DATA_DIR.value else None
    options = Options(
        _view(),
        FOLDS.value,
        SEED.value,
        _orientation(ORIENTATION.value),
        _spacing(SPACING.value),
        _crop(CROP.value),
        SKIP.value,
        WORKERS.value,
        tuple(TRAINING_ONLY.value),
        CLUSTER.value,
    )
    prepared_dir = Path(PREPARED_DIR.value) if PREPARED_DIR.value else None
    layouts.make(DATASET.value, data_dir, WORKERS.value, prepared_dir)
    dataset = layouts.find(DATASET.value, data_dir, UNLABELLED.value, prepared_dir)
    if MODALITIES.value is not None:
        dataset = select_modalities(dataset, MODALITIES.value)
    folder = Path(OUT_DIR.value or f"records/{dataset.name}")
    summarise(preprocess(dataset, folder, options), folder)


def _verify(folder: Path) -> None:
    own = flags.FLAGS.get_flags_for_module(__name__)
    others = [f"--{flag.name}" for flag in own if flag.present and flag.name != VERIFY.name]
    if others:
        raise SettingError("verify", f"expected no other flag, received {', '.join(others)}")
    from tfrecords.records.verify import verify  # noqa: PLC0415

    manifest = verify(folder)
    size_mb = sum(shard.bytes for shard in manifest.shards) / 1e6
    print(f"{folder}: {len(manifest.shards)} shards, {size_mb:.1f} MB, whole as they were written")


def _view_of(method: str) -> View:
    start_tensorflow()
    from tfadv import methods  # noqa: PLC0415

    return methods.get(method).view


def _view() -> View:
    if METHOD.value and VIEW.value:
        raise UserError("--method and --view: expected one of them, received both")
    view = VIEWS[VIEW.value or Slices.kind]()
    if METHOD.value:
        early.require_method(METHOD.value)
        # Methods import TensorFlow, whose 0.9 GB would stay here as long as volumes are read.
        with ProcessPoolExecutor(1, CONTEXT) as alone:
            view = alone.submit(_view_of, METHOD.value).result()
    for flag in (PATCH_SIZE, LABEL_SIZE, PATCHES):
        if flag.present and not isinstance(view, Patches):
            raise SettingError(flag.name, f"expected the view patches, received {view.kind}")
    if isinstance(view, Slices):
        return Slices(FOREGROUND_SLICES.value)
    if FOREGROUND_SLICES.value:
        raise SettingError("foreground_slices", f"expected the view slices, received {view.kind}")
    if isinstance(view, Patches):
        patch_size = PATCH_SIZE.value or view.patch_size
        return Patches(patch_size, LABEL_SIZE.value or view.label_size, PATCHES.value)
    return view


def _orientation(codes: str) -> str:
    axes = "".join(sorted("R" if c in "RL" else "A" if c in "AP" else "S" for c in codes))
    if axes != "ARS" or not set(codes) <= set("RLAPSI"):
        raise SettingError(
            "orientation", f"expected three axis codes such as RAS, received {codes}"
        )
    return codes


def _spacing(value: str | None) -> tuple[float, float, float] | None:
    if value is None:
        return None
    try:
        x_mm, y_mm, z_mm = (float(part) for part in value.split(","))
        if not all(0 <= mm < math.inf for mm in (x_mm, y_mm, z_mm)) or not x_mm + y_mm + z_mm:
            raise ValueError
    except ValueError:
        raise SettingError(
            "spacing",
            "expected three numbers X,Y,Z in mm, positive, or 0 (but not all) for the source's "
            f"own, received {value}",
        ) from None
    return x_mm, y_mm, z_mm


def _crop(value: str | None) -> tuple[int, int, int] | None:
    if value is None:
        return None
    try:
        x, y, z = (int(part) for part in value.split(","))
        if min(x, y, z) < 1:
            raise ValueError
    except ValueError:
        raise SettingError(
            "crop", f"expected three positive whole numbers X,Y,Z of voxels, received {value}"
        ) from None
    return x, y, z


def summarise(manifest: "Manifest", folder: Path) -> None:
    """Tells what is in the record set and what to do with it."""
    for kind in dict.fromkeys(shard.kind for shard in manifest.shards):
        chosen = [shard for shard in manifest.shards if shard.kind == kind]
        size_mb = sum(shard.bytes for shard in chosen) / 1e6
        examples = sum(shard.examples for shard in chosen)
        print(f"{kind}: {examples} examples in {len(chosen)} shards, {size_mb:.1f} MB")
    total = sum(manifest.class_voxels)
    for label_class, voxels in zip(manifest.classes, manifest.class_voxels, strict=True):
        print(f"class {label_class.name}: {100 * voxels / total:.3f} % of voxels")
    for value in manifest.ignored:
        print(f"label {value}: voxels that nobody annotated, which count nowhere")
    _summarise_patches(manifest)
    for name, findings in manifest.skipped.items():
        print(f"left out: {name}: {'; '.join(findings)}")
    training = sum(s.fold == TRAINING for s in manifest.subjects)
    if training:
        print(f"{training} subjects only train: fold {TRAINING}")
    folds, labelled = len(manifest.folds), sum(s.labelled for s in manifest.subjects)
    if UNLABELLED.value:
        print(f"{len(manifest.subjects) - labelled} unlabelled subjects, as whole volumes")
    print(f"{labelled} subjects in {folds} folds, seed {manifest.seed}: {folder}")
    cli.tell(f"Next: python launch/train.py {_suited(manifest)} --records {folder}")


def _suited(manifest: "Manifest") -> str:
    """Flags of a training that suits the record set, and this machine."""
    kind = type(manifest.view)
    method = OF_REGIONS if manifest.regions and kind is Slices else BASELINES[kind]
    gpus = any(Path("/dev").glob("nvidia[0-9]*"))  # Without TensorFlow, which takes seconds.
    return f"--method {METHOD.value or method}{'' if gpus else ' --preset small'}"


def _summarise_patches(manifest: "Manifest") -> None:
    """A line for each class, and one more where the body of some subjects has none of it."""
    patches = manifest.patches()
    for index, label_class in enumerate(manifest.classes if patches else ()):
        counts = {name: found[index] for name, found in patches.items()}
        print(f"class {label_class.name}: {sum(counts.values())} patches")
        lacking = sorted(name for name, count in counts.items() if not count)
        if lacking:
            share = f"{len(lacking)} of {len(counts)} subjects"
            which = f"{share}, which lack it: {shortened(lacking)}"
            print(f"class {label_class.name}: no patches of {which}")
