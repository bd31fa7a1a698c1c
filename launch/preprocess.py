"""NIfTI volumes to a record set: sharded TFRecords and their manifest.

python launch/preprocess.py
python launch/preprocess.py --dataset decathlon --data_dir Task04_Hippocampus --folds 10

Every subject is checked before anything is written. A run that was killed goes on where it stopped
when the same command is given again.
"""

import math
import os
from pathlib import Path

from absl import flags

from launch import cli
from tfrecords import datasets, views
from tfrecords.errors import UserError
from tfrecords.manifest import Manifest
from tfrecords.preprocessing import Options, preprocess
from tfrecords.views import View

DATASET = flags.DEFINE_enum("dataset", "demo_tumour", datasets.names(), "Source layout.")
DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of the sources (a CSV for table; the demo datasets make their own)."
)
OUT_DIR = flags.DEFINE_string("out_dir", None, "Record set to write. [records/DATASET]")
METHOD = flags.DEFINE_string("method", None, "Cut the view that this method trains on.")
VIEW = flags.DEFINE_enum("view", None, views.KINDS, "How to cut training examples. [slices]")
PATCH_SIZE = flags.DEFINE_integer("patch_size", 51, "Patches: height and width, voxels.", 1)
PATCHES = flags.DEFINE_integer("patches_per_class", 500, "Patches: per class and subject.", 1)
FOLDS = flags.DEFINE_integer("folds", 5, "Folds to draw, unless the source prescribes them.", 2)
SPACING = flags.DEFINE_string("spacing", None, "Resample to X,Y,Z mm. [the source's own]")
ORIENTATION = flags.DEFINE_string("orientation", "RAS", "Axis codes; slices lie across the last.")
SKIP = flags.DEFINE_bool("skip_invalid", False, "Leave invalid subjects out, and note them.")
WORKERS = flags.DEFINE_integer("workers", os.cpu_count() or 1, "Worker processes.", 1)
SEED = flags.DEFINE_integer("seed", 0, "Of folds, patches and the examples' order.", 0)


def main() -> None:
    data_dir = Path(DATA_DIR.value) if DATA_DIR.value else None
    options = Options(
        View(_view_kind(), PATCH_SIZE.value, PATCHES.value),
        FOLDS.value,
        SEED.value,
        _orientation(ORIENTATION.value),
        _spacing(SPACING.value),
        SKIP.value,
        WORKERS.value,
    )
    dataset = datasets.find(DATASET.value, data_dir, WORKERS.value)
    folder = Path(OUT_DIR.value or f"records/{dataset.name}")
    summarise(preprocess(dataset, folder, options), folder)


def _view_kind() -> str:
    if METHOD.value and VIEW.value:
        raise UserError("--method and --view: expected one of them, received both")
    if METHOD.value:
        # Only this flag needs the methods, whose networks import TensorFlow.
        from tfadv import methods  # noqa: PLC0415

        return methods.get(METHOD.value).view
    return VIEW.value or "slices"


def _orientation(codes: str) -> str:
    axes = "".join(sorted("R" if c in "RL" else "A" if c in "AP" else "S" for c in codes))
    if axes != "ARS" or not set(codes) <= set("RLAPSI"):
        raise UserError(f"--orientation: expected three axis codes such as RAS, received {codes}")
    return codes


def _spacing(value: str | None) -> tuple[float, float, float] | None:
    if value is None:
        return None
    try:
        x_mm, y_mm, z_mm = (float(part) for part in value.split(","))
        if not all(0 < mm < math.inf for mm in (x_mm, y_mm, z_mm)):
            raise ValueError
    except ValueError:
        raise UserError(
            f"--spacing: expected three positive numbers X,Y,Z in mm, received {value}"
        ) from None
    return x_mm, y_mm, z_mm


def summarise(manifest: Manifest, folder: Path) -> None:
    """Tells what is in the record set and what to do with it."""
    for kind in dict.fromkeys(shard.kind for shard in manifest.shards):
        chosen = [shard for shard in manifest.shards if shard.kind == kind]
        size_mb = sum(shard.bytes for shard in chosen) / 1e6
        examples = sum(shard.examples for shard in chosen)
        print(f"{kind}: {examples} examples in {len(chosen)} shards, {size_mb:.1f} MB")
    total = sum(manifest.class_voxels)
    for label_class, voxels in zip(manifest.classes, manifest.class_voxels, strict=True):
        print(f"class {label_class.name}: {100 * voxels / total:.3f} % of voxels")
    for name, findings in manifest.skipped.items():
        print(f"left out: {name}: {'; '.join(findings)}")
    folds, slices = len(manifest.folds), manifest.view.kind == "slices"
    print(f"{len(manifest.subjects)} subjects in {folds} folds, seed {manifest.seed}: {folder}")
    method = METHOD.value or ("kohl_purely_adversarial" if slices else "NAME")
    print(f"Next: python launch/train.py --method {method} --records {folder}")


if __name__ == "__main__":
    cli.run(main)
