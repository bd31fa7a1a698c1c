"""From a source layout to a record set: scan everything, refuse what is wrong, write the rest.

dataset -> scan (all subjects) -> folds -> plan of parts -> write parts -> manifest
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from tfrecords.cluster import connected
from tfrecords.errors import SettingError, UserError
from tfrecords.geometry.grid import working_grid
from tfrecords.names import shortened
from tfrecords.records import manifest, relations
from tfrecords.records.manifest import Manifest, SubjectRecord
from tfrecords.records.views import Slices, View
from tfrecords.runners import Mapper, processes
from tfrecords.sources.subject import IGNORED, Dataset, LabelClass, Subject, require_groups
from tfrecords.writing import notices, shards
from tfrecords.writing.folds import assign_folds
from tfrecords.writing.parts import PATTERN, Part, ShardSettings, Source, plan
from tfrecords.writing.room import require_possible, require_room
from tfrecords.writing.scan import Scan, findings_by_name, report, scan_all, tell_remarks


@dataclass(frozen=True)
class Options:
    """The choices of one preprocessing run, as flags of launch/preprocess.py."""

    view: View = field(default_factory=Slices)
    folds: int = 5
    seed: int = 0
    orientation: str = "RAS"
    spacing_mm: tuple[float, float, float] | None = None
    crop: tuple[int, int, int] | None = None
    skip_invalid: bool = False
    workers: int = 2
    training_only: tuple[str, ...] = ()
    cluster: str = ""


def preprocess(dataset: Dataset, folder: Path, options: Options) -> Manifest:
    """Writes a record set into `folder`, keeping what an earlier run of the same has finished.

    Processes of this machine do it, or the workers of a Dask scheduler, `Options.cluster`, that
    share its file system: with the same bytes.

    Raises:
        UserError: with every fault of every subject, before anything is written; or an unknown
            group in `training_only`; or where the record set cannot fit.
    """
    require_groups(dataset, options.training_only)
    if not options.cluster:
        return preprocess_by(processes(options.workers), dataset, folder, options)
    with connected(options.cluster) as cluster:
        first = dataset.subjects[:1]
        cluster.require([path for subject in first for path in subject.images], folder)
        return preprocess_by(cluster.map, dataset, folder, options)


def preprocess_by(mapped: Mapper, dataset: Dataset, folder: Path, options: Options) -> Manifest:
    """As `preprocess`, by whoever does a function of many items."""
    scans = scan_all(dataset, mapped)
    skipped = findings_by_name(scans)
    if skipped and not options.skip_invalid:
        raise UserError(report(scans))
    good = {s.subject: s for s in scans if not s.findings}
    if not any(s.label_counts for s in good.values()):
        kind = "subject with a label map" if good else "subject"
        raise UserError(f"no valid {kind} is left. {report(scans)}")
    tell_remarks(list(good.values()))
    dataset = _settle(dataset, list(good.values()))
    folds = assign_folds(dataset.subjects, options.folds, options.seed, options.training_only)
    sources = [_source(subject, good[subject.name], options) for subject in dataset.subjects]
    notices.tell(dataset, sources, good)
    dtype = np.result_type(*(s.dtype for s in good.values()))
    # Integers of one subject and floats of another make a wider float.
    image_dtype = dtype.name if np.issubdtype(dtype, np.integer) else "float16"
    settings = ShardSettings(
        options.view,
        options.seed,
        image_dtype,
        len(dataset.modalities),
        dataset.classes,
        dataset.ignored,
    )
    result = replace(
        _describe(dataset, sources, folds, settings, options),
        class_voxels=_class_voxels(dataset.classes, list(good.values())),
        skipped=skipped,
    )
    for fault in relations.faults_of_contents(result):  # Nobody could open it.
        raise UserError(f"{dataset.name}: {fault}")
    require_possible(folder, sources, folds, settings)
    written = _write(folder, plan(folder, sources, folds, settings), mapped)
    result = replace(result, shards=tuple(written))
    _finish(folder, result)
    return result


def _source(subject: Subject, found: Scan, options: Options) -> Source:
    assert found.grid is not None  # A scan without findings has read the files.
    working = working_grid(found.grid, options.orientation, options.spacing_mm, options.crop)
    return Source(subject, found.grid, working, found.checksums)


def _settle(dataset: Dataset, scans: Sequence[Scan]) -> Dataset:
    """The dataset with its valid subjects alone, and classes where only the labels tell them."""
    names = {s.subject for s in scans}
    classes = dataset.classes
    if not classes:
        found = {value for s in scans for value in s.label_counts}
        values = sorted({0, *found} - set(dataset.ignored))
        if values == [0]:
            raise UserError(
                "label maps: expected a value besides 0, which is the background, received none"
            )
        classes = tuple(LabelClass("background" if v == 0 else f"label_{v}", (v,)) for v in values)
    if len(classes) > IGNORED:
        raise UserError(
            f"label values: expected at most {IGNORED}, received {len(classes)}. Are these label "
            "maps, or images?"
        )
    subjects = tuple(s for s in dataset.subjects if s.name in names)
    return replace(dataset, classes=classes, subjects=subjects)


def _class_voxels(classes: tuple[LabelClass, ...], scans: Sequence[Scan]) -> tuple[int, ...]:
    totals: Counter[int] = Counter()
    for result in scans:
        totals.update(result.label_counts)
    return tuple(sum(totals[value] for value in c.labels) for c in classes)


def _write(folder: Path, parts: list[Part], mapped: Mapper) -> list[manifest.Shard]:
    try:
        (folder / shards.PROGRESS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError("out_dir", f"expected a folder to write to, received {error}") from error
    if (folder / manifest.FILE_NAME).is_file():
        # From here on the folder is no whole record set, until the new manifest says so. A
        # manifest of another version tells nothing that could be kept.
        _recall(folder)
    planned = [shard for part in parts for shard in part.shards]
    known = {}
    for shard in tqdm(planned, "Checking shards", unit="shard", dynamic_ncols=True, delay=1):
        if done := shards.finished(folder, shard):
            known[shard.file] = done
    if known:
        logging.info(f"{len(known)} of {len(planned)} shards are already written: kept.")
    jobs = [job for part in parts for job in part.jobs(known)]
    if jobs:
        require_room(folder, [shard for job in jobs for shard in job.missing])
        (folder / manifest.FILE_NAME).unlink(missing_ok=True)
        written_parts = mapped(shards.write_part, jobs, "Writing shards", named=_subjects_of)
        for _, written in written_parts:
            known |= {shard.file: shard for shard in written}
    return [known[shard.file] for shard in planned]


def _subjects_of(part: Part) -> str:
    return shortened([source.subject.name for source in part.sources])


def _recall(folder: Path) -> None:
    """Takes the old manifest's shards as progress."""
    try:
        shards.note_progress(folder, manifest.parse_manifest(folder / manifest.FILE_NAME).shards)
    except UserError as error:
        logging.warning(f"{error}: every shard is written anew.")


def _describe(
    dataset: Dataset,
    sources: list[Source],
    folds: dict[str, str],
    settings: ShardSettings,
    options: Options,
) -> Manifest:
    records = tuple(
        SubjectRecord(
            s.subject.name,
            s.subject.group,
            folds[s.subject.name],
            s.source,
            s.working,
            s.checksums,
        )
        for s in sources
    )
    grids = [s.working for s in sources if s.subject.label is not None]
    shapes = np.array([grid.shape[::-1] for grid in grids])
    spacings = np.array([grid.spacing_mm for grid in grids])
    x_mm, y_mm, z_mm = (round(float(mm), 6) for mm in np.median(spacings, axis=0))
    depth, height, width = (int(extent) for extent in shapes.max(axis=0))
    return Manifest(
        dataset.name,
        dataset.modalities,
        dataset.classes,
        dict(dataset.regions),
        dataset.groups,
        options.orientation,
        (x_mm, y_mm, z_mm),
        options.spacing_mm,
        options.crop,
        settings.image_dtype,
        settings.view,
        options.seed,
        (depth, height, width),
        (),
        (),
        records,
        {},
        dataset.ignored,
        dataset.favoured,
        dataset.licence,
    )


def _finish(folder: Path, result: Manifest) -> None:
    """The manifest, and no shard that it does not name."""
    result.save(folder)
    shutil.rmtree(folder / shards.PROGRESS)
    named = {shard.file for shard in result.shards}
    for file in folder.glob(PATTERN):
        if file.name not in named:
            file.unlink()
