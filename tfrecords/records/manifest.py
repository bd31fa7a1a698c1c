"""`manifest.json`: what a record set holds, and the refusal to read what does not match it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, GetPydanticSchema, Tag

from tfrecords.errors import UserError
from tfrecords.files import json_checksum, read_json, write_json
from tfrecords.geometry.grid import Grid
from tfrecords.records import relations
from tfrecords.records.views import Patches, Slices, View, Volumes
from tfrecords.sources.subject import TRAINING, UNLABELLED, LabelClass

FORMAT_VERSION = 6
FILE_NAME = "manifest.json"
REPAIR = "Run launch/preprocess.py again with the same flags: it writes anew what it cannot keep"


def _kind(view: Any) -> Any:
    """Of a view, or of what stands for one in a file; None of anything else."""
    return view.get("kind") if isinstance(view, dict) else getattr(view, "kind", None)


# One of the views, told by its kind.
_Tagged = Annotated[
    Annotated[Slices, Tag(Slices.kind)]
    | Annotated[Patches, Tag(Patches.kind)]
    | Annotated[Volumes, Tag(Volumes.kind)],
    Discriminator(_kind),
]
StoredView = Annotated[View, GetPydanticSchema(lambda _, handler: handler.generate_schema(_Tagged))]


@dataclass(frozen=True)
class Shard:
    """One TFRecord file.

    Attributes:
        kind: the view of its examples; "volumes" for the shards of whole subjects.
        fingerprint: of everything that determines its bytes; equal ones need no rewriting.
        bytes: its size; at most, before it is written.
        centres: patches alone: for each of `subjects`, the patches of each class, which is that of
            their central voxel.
        owners, holds: whose each example is, and which classes it holds; see `records.contents`.
    """

    file: str
    kind: str
    fold: str
    group: str
    subjects: tuple[str, ...]
    fingerprint: str
    examples: int = 0
    bytes: int = 0
    sha256: str = ""
    centres: tuple[tuple[int, ...], ...] = ()
    owners: str = ""
    holds: tuple[str, ...] = ()


@dataclass(frozen=True)
class SubjectRecord:
    """A subject's origin. `files` maps source files to SHA-256; `source` is their grid.

    Subjects without a label map, and no others, are in the fold UNLABELLED.
    """

    name: str
    group: str
    fold: str
    source: Grid
    working: Grid
    files: dict[str, str]

    @property
    def labelled(self) -> bool:
        return self.fold != UNLABELLED

    @property
    def fingerprint(self) -> str:
        """Of its images' bytes, wherever they lie and whatever it is called: 16 hex digits.

        The label map's, the last of its files, may be another subject's as well.
        """
        checksums = list(self.files.values())
        return json_checksum(sorted(checksums[:-1] if self.labelled else checksums))[:16]


@dataclass(frozen=True)
class Manifest:
    """The contents of a record set; see the attributes' types.

    Spacing, class voxels and the largest shape are those of labelled subjects alone. Voxels of an
    ignored value are of no class.

    Attributes:
        spacing_mm: of the working grids along (x, y, z), the median over subjects.
        image_dtype: of stored images.
        class_voxels: voxels of each class over all subjects.
        largest_shape: the largest working extent (z, y, x) over subjects, in voxels.
        wanted_spacing_mm: to which subjects were resampled along (x, y, z), 0 where they keep their
            own; None where nothing is resampled.
        crop: voxels (x, y, z) about the centre that working grids keep at most; None keeps all.
        skipped: subjects left out by --skip_invalid, with the reasons.
        ignored: source label values of voxels that nobody annotated, IGNORED in the shards.
        favoured: groups, classes and regions whose examples importance sampling favours where
            nobody says otherwise; the first group if there are none.
        licence: of the data, as the source states it; empty where it does not.
    """

    dataset: str
    modalities: tuple[str, ...]
    classes: tuple[LabelClass, ...]
    regions: dict[str, tuple[str, ...]]
    groups: tuple[str, ...]
    orientation: str
    spacing_mm: tuple[float, float, float]
    wanted_spacing_mm: tuple[float, float, float] | None
    crop: tuple[int, int, int] | None
    image_dtype: str
    view: StoredView
    seed: int
    largest_shape: tuple[int, int, int]
    class_voxels: tuple[int, ...]
    shards: tuple[Shard, ...]
    subjects: tuple[SubjectRecord, ...]
    skipped: dict[str, tuple[str, ...]]
    ignored: tuple[int, ...] = ()
    favoured: tuple[str, ...] = ()
    licence: str = ""

    @property
    def folds(self) -> tuple[str, ...]:
        """Those of labelled subjects."""
        return tuple(sorted({shard.fold for shard in self.shards} - {UNLABELLED}))

    @property
    def held_out_folds(self) -> tuple[str, ...]:
        """Those of `folds` that may validate or test: all but TRAINING."""
        return tuple(fold for fold in self.folds if fold != TRAINING)

    @property
    def unlabelled(self) -> tuple[Shard, ...]:
        """Shards of subjects without a label map: whole volumes, their labels zeros."""
        return tuple(shard for shard in self.shards if shard.fold == UNLABELLED)

    def patches(self) -> dict[str, tuple[int, ...]]:
        """Of each subject, the patches of each class; empty for other views."""
        found: dict[str, tuple[int, ...]] = {}
        for shard in self.shards:
            for name, counts in zip(shard.subjects, shard.centres, strict=False):
                before = found.get(name, (0,) * len(counts))
                found[name] = tuple(map(sum, zip(before, counts, strict=True)))
        return found

    def class_index(self, name: str) -> int:
        return [c.name for c in self.classes].index(name)

    def select(self, kind: str, folds: Iterable[str]) -> tuple[Shard, ...]:
        """Shards of one kind in the given folds.

        Raises:
            UserError: a fold is not among `folds`.
        """
        wanted = set(folds)
        unknown = sorted(wanted - set(self.folds))
        if unknown:
            raise UserError(f"folds: expected among {list(self.folds)}, received {unknown}")
        return tuple(s for s in self.shards if s.kind == kind and s.fold in wanted)

    def save(self, folder: Path) -> None:
        content = {**asdict(self), "view": self.view.content}
        write_json(folder / FILE_NAME, content, FORMAT_VERSION)


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a record set, its shards present and of the stated sizes.

    Raises:
        UserError: no record set, another format version, or missing or truncated shards.
    """
    manifest = parse_manifest(folder / FILE_NAME)
    for shard in manifest.shards:
        file = folder / shard.file
        size = file.stat().st_size if file.is_file() else None
        if size != shard.bytes:
            received = "no such file" if size is None else f"{size} bytes"
            raise UserError(f"{file}: expected {shard.bytes} bytes, received {received}. {REPAIR}")
    return manifest


def parse_manifest(path: Path) -> Manifest:
    """A manifest file.

    Raises:
        UserError: there is none, or it is of another version, not as it was written, not a
            manifest, or contradictory.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected a record set. Make one with launch/preprocess.py"
        )
    manifest = read_json(path, Manifest, FORMAT_VERSION, REPAIR)
    for fault in relations.faults(manifest):
        raise UserError(f"{path}: {fault}. {REPAIR}")
    return manifest
