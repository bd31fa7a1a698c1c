"""What must hold among a manifest's entries, whoever wrote it: a file may be well formed and wrong.

Preprocessing asks before it writes, reading before it believes. Types are the reader's matter, and
whether shards are there `load_manifest`'s. A fault is a sentence that begins with the entry's name.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from nibabel.orientations import axcodes2ornt

from tfrecords.geometry.grid import Grid
from tfrecords.names import name_fault
from tfrecords.records import contents
from tfrecords.records.views import Volumes
from tfrecords.sources.subject import UNLABELLED

if TYPE_CHECKING:
    from tfrecords.records.manifest import Manifest, Shard, SubjectRecord

IMAGE_DTYPES = ("uint8", "int8", "uint16", "int16", "int32", "float16")
# Of a TFRecord file: each record has at least its length and two checksums.
FRAME_BYTES = 16
LARGEST_EXTENT = 2**31 - 1
FILE = re.compile(r"[^/\\\0]+\.tfrecord")
SHA256 = re.compile(r"[0-9a-f]{64}")


def faults(manifest: "Manifest") -> Iterator[str]:
    """Of a whole manifest."""
    yield from faults_of_contents(manifest)
    known = {subject.name: subject for subject in manifest.subjects}
    for number, shard in enumerate(manifest.shards):
        for fault in _of_shard(shard, manifest, known):
            yield f"shards.{number} ({shard.file}): {fault}"
    yield from _twice("shards", [shard.file for shard in manifest.shards])
    of_volumes = [s for s in manifest.shards if s.kind == Volumes.kind]
    in_volumes = Counter(name for shard in of_volumes for name in shard.subjects)
    for name in known:
        if in_volumes[name] != 1:
            yield f"shards: expected one of volumes with {name}, received {in_volumes[name]}"


def faults_of_contents(manifest: "Manifest") -> Iterator[str]:
    """Of all but the shards."""
    yield from _of_names(manifest)
    yield from _of_subjects(manifest)
    yield from _of_grids(manifest)


def _of_names(manifest: "Manifest") -> Iterator[str]:
    classes = [label_class.name for label_class in manifest.classes]
    for entry, names in (
        ("modalities", manifest.modalities),
        ("classes", classes),
        ("groups", manifest.groups),
        ("subjects", [subject.name for subject in manifest.subjects]),
    ):
        if not names:
            yield f"{entry}: expected at least one, received none"
        yield from _twice(entry, names)
    labels = [value for label_class in manifest.classes for value in label_class.labels]
    labels += manifest.ignored
    if not all(0 <= value <= 255 for value in labels):
        yield f"classes: expected labels from 0 to 255, received {labels}"
    yield from _twice("classes: label", labels)
    for label_class in manifest.classes:
        if not label_class.labels:
            yield f"classes: expected at least one label of {label_class.name}, received none"
    for region, members in manifest.regions.items():
        if not members or not set(members) <= set(classes):
            yield f"regions.{region}: expected some of {classes}, received {list(members)}"
    if len(manifest.class_voxels) != len(classes) or min(manifest.class_voxels, default=0) < 0:
        yield (
            f"class_voxels: expected {len(classes)} numbers, one per class, "
            f"received {list(manifest.class_voxels)}"
        )
    known = {*manifest.groups, *classes, *manifest.regions}
    if not set(manifest.favoured) <= known:
        yield f"favoured: expected some of {sorted(known)}, received {list(manifest.favoured)}"
    if manifest.image_dtype not in IMAGE_DTYPES:
        yield f"image_dtype: expected one of {IMAGE_DTYPES}, received {manifest.image_dtype}"
    if manifest.seed < 0:
        yield f"seed: expected at least 0, received {manifest.seed}"


def faults_of_choices(
    orientation: str,
    spacing_mm: tuple[float, ...],
    wanted_spacing_mm: tuple[float, ...] | None,
    crop: tuple[int, ...] | None,
) -> Iterator[str]:
    """Of what makes a working grid of a source's, as manifests and models' descriptions hold it."""
    if not _is_orientation(orientation):
        yield f"orientation: expected axis codes such as RAS, received {orientation}"
    if not all(0 < mm < np.inf for mm in spacing_mm):
        yield f"spacing_mm: expected positive numbers, received {spacing_mm}"
    wanted = wanted_spacing_mm
    if wanted is not None and not (all(0 <= mm < np.inf for mm in wanted) and any(wanted)):
        yield f"wanted_spacing_mm: expected numbers of at least 0, received {wanted}"
    if crop is not None and min(crop) < 1:
        yield f"crop: expected positive numbers, received {crop}"


def _of_grids(manifest: "Manifest") -> Iterator[str]:
    spacings_mm = manifest.spacing_mm, manifest.wanted_spacing_mm
    yield from faults_of_choices(manifest.orientation, *spacings_mm, manifest.crop)
    odd = False
    for subject in manifest.subjects:
        for entry, grid in (("source", subject.source), ("working", subject.working)):
            if not _is_grid(grid):
                odd = True
                yield f"subjects ({subject.name}): {entry}: expected a grid, received {grid!r}"
    grids = [subject.working for subject in manifest.subjects if subject.labelled]
    if odd or not grids:
        return
    largest = tuple(int(extent) for extent in np.max([g.shape[::-1] for g in grids], axis=0))
    if manifest.largest_shape != largest:
        found = manifest.largest_shape
        yield f"largest_shape: expected {largest}, of the subjects, received {found}"
    median_mm = np.median([grid.spacing_mm for grid in grids], axis=0)
    if not np.allclose(manifest.spacing_mm, median_mm, rtol=0, atol=1e-5):
        yield f"spacing_mm: expected {median_mm}, of the subjects, received {manifest.spacing_mm}"


def _of_subjects(manifest: "Manifest") -> Iterator[str]:
    for subject in manifest.subjects:
        where = f"subjects ({subject.name})"
        if fault := name_fault(subject.name):  # Label maps are written by this name.
            yield f"{where}: {fault}"
        if subject.group not in manifest.groups:
            yield f"{where}: expected a group of {manifest.groups}, received {subject.group}"
        if not subject.fold:
            yield f"{where}: expected a fold, received none"
    if not any(subject.labelled for subject in manifest.subjects):
        yield "subjects: expected some with a label map, received none"


def _of_shard(
    shard: "Shard", manifest: "Manifest", known: "dict[str, SubjectRecord]"
) -> Iterator[str]:
    if not FILE.fullmatch(shard.file) or shard.file.startswith("."):
        yield "expected the name of a file in this folder, ending in .tfrecord"
    kinds = {Volumes.kind} if shard.fold == UNLABELLED else {Volumes.kind, manifest.view.kind}
    if shard.kind not in kinds:
        yield f"kind: expected one of {sorted(kinds)}, received {shard.kind}"
    if not shard.subjects:
        yield "subjects: expected at least one, received none"
    yield from _twice("subjects", shard.subjects)
    for name in shard.subjects:
        place = (known[name].fold, known[name].group) if name in known else "no such subject"
        if place != (shard.fold, shard.group):
            yield (
                f"subjects: expected {name} of fold {shard.fold} and group {shard.group}, "
                f"received {place}"
            )
    fewest = len(shard.subjects) if shard.kind == Volumes.kind else 0
    most = fewest or shard.bytes // FRAME_BYTES
    if not fewest <= shard.examples <= most or shard.bytes < shard.examples * FRAME_BYTES:
        yield f"examples, bytes: received {shard.examples} in {shard.bytes} bytes"
    if not SHA256.fullmatch(shard.sha256):
        yield f"sha256: expected 64 hexadecimal digits, received {shard.sha256!r}"
    yield from _of_centres(shard, manifest)
    yield from contents.faults(shard, len(manifest.classes))


def _of_centres(shard: "Shard", manifest: "Manifest") -> Iterator[str]:
    """Patches are counted by subject and class; other views are not."""
    counted = manifest.view.of_classes and shard.kind == manifest.view.kind
    rows, columns = (len(shard.subjects) if counted else 0), len(manifest.classes)
    fits = len(shard.centres) == rows and all(len(row) == columns for row in shard.centres)
    total = sum(map(sum, shard.centres))
    negative = any(count < 0 for row in shard.centres for count in row)
    if not fits or negative or (counted and total != shard.examples):
        yield (
            f"centres: expected {rows} times {columns} numbers, of {shard.examples} examples, "
            f"received {shard.centres}"
        )


def _twice(entry: str, names: Sequence[object]) -> Iterator[str]:
    again = [name for name, times in Counter(names).items() if times > 1]
    if again:
        yield f"{entry}: expected each once, received {again[:5]} more than once"


def _is_orientation(codes: str) -> bool:
    try:
        return len(codes) == 3 and sorted(axcodes2ornt(codes)[:, 0]) == [0, 1, 2]
    except (ValueError, KeyError):
        return False


def _is_grid(grid: Grid) -> bool:
    if not all(1 <= extent <= LARGEST_EXTENT for extent in grid.shape):
        return False
    if [len(row) for row in grid.affine] != [4] * 4 or grid.affine[3] != (0, 0, 0, 1):
        return False
    return bool(np.isfinite(grid.matrix).all()) and np.linalg.matrix_rank(grid.matrix) == 4
