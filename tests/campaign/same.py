"""What a program made, as bytes to compare: of two that are the same, these are equal.

Left out is what tells of the sources' own bytes, of their place, or of the time.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib

from tfrecords.files import CHECKSUM, file_checksum

Made = dict[str, Any]


def contents(folder: Path, pattern: str) -> Made:
    """SHA-256 of the files below a folder that match."""
    return {
        str(path.relative_to(folder)): file_checksum(path)
        for path in sorted(folder.rglob(pattern))
        if path.is_file()
    }


def record_set(folder: Path) -> Made:
    """Shards, and the manifest but for sources' checksums, which shards' fingerprints hold, too."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest[CHECKSUM]
    for shard in manifest["shards"]:
        del shard["fingerprint"]
    for subject in manifest["subjects"]:
        del subject["files"]
    return {"manifest": manifest, **contents(folder, "*.tfrecord")}


def run(work_dir: Path) -> Made:
    """Settings, history, and everything in the checkpoints: HDF5 notes when it was written."""
    made: Made = {
        name: (work_dir / name).read_bytes() for name in ("hyperparameters.json", "history.csv")
    }
    for path in sorted(work_dir.glob("checkpoints/*")):

        def note(name: str, item: h5py.Group | h5py.Dataset, file: str = path.name) -> None:
            if isinstance(item, h5py.Dataset):
                made[f"{file} {name}"] = item[()].tobytes()

        with h5py.File(path) as file:
            file.visititems(note)
    return made


def evaluation(work_dir: Path) -> Made:
    return {name: (work_dir / name).read_bytes() for name in ("metrics.csv", "subjects.csv")}


def model(folder: Path) -> Made:
    """Graph and weights: fingerprint.pb holds a random number, and the description its checksum."""
    graph = (folder / "saved_model.pb").read_bytes()
    return {"graph": graph, **contents(folder / "variables", "*")}


def label_map(path: Path) -> Made:
    image = nib.Nifti1Image.from_filename(path)
    return {"voxels": bytes(image.dataobj.get_unscaled()), "affine": image.affine.tobytes()}
