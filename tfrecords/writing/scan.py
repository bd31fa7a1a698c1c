"""Looking at every subject before anything is written, and reporting all that is wrong at once."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter

import numpy as np
from absl import logging

from tfrecords.geometry.grid import Grid
from tfrecords.names import shortened
from tfrecords.records.intensities import storage_findings
from tfrecords.runners import Mapper
from tfrecords.sources.images import (
    grid_findings,
    image_findings,
    read_files,
    stack,
    stacked_names,
)
from tfrecords.sources.labels import counted, label_findings
from tfrecords.sources.subject import Dataset, Subject


@dataclass(frozen=True)
class Scan:
    """What one subject's files hold.

    Attributes:
        findings: one sentence per fault; empty for a good subject.
        dtype: the type that holds all its modalities.
        label_counts: voxels per source label value; empty where there is no label map.
        checksums: SHA-256 per file.
        remarks: of a good subject, by file, what is odd all the same.
    """

    subject: str
    findings: tuple[str, ...]
    grid: Grid | None = None
    dtype: str = ""
    label_counts: dict[int, int] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    remarks: tuple[tuple[str, str], ...] = ()


def scan(subject: Subject, dataset: Dataset) -> Scan:
    """Reads a subject whole and says what it holds and what is wrong with it."""
    modalities = len(dataset.modalities)
    volumes, findings = read_files(subject.files)
    findings += image_findings(subject, volumes, modalities)
    if subject.label in volumes:
        label = volumes[subject.label].array
        findings += label_findings(subject.label, label, dataset.classes, dataset.ignored)
    findings += grid_findings({path: volume.grid for path, volume in volumes.items()})
    remarks = [(str(path), text) for path, v in volumes.items() for text in v.remarks]
    dtype = ""
    if not findings:
        dtype = _storage_dtype(np.result_type(*(volumes[path].array for path in subject.images)))
    if dtype == "float16":
        image, names = stack(subject, volumes, modalities), stacked_names(subject, modalities)
        findings, vanishing = storage_findings(image, dtype, names)
        remarks += vanishing
    if findings:
        return Scan(subject.name, tuple(findings))
    label = np.empty(0) if subject.label is None else volumes[subject.label].array
    values, voxels = counted(label)
    return Scan(
        subject.name,
        (),
        volumes[subject.files[-1]].grid,
        dtype,
        {int(v): int(n) for v, n in zip(values, voxels, strict=True)},
        {str(path): volume.sha256 for path, volume in volumes.items()},
        tuple(remarks),
    )


def unscanned(subject: Subject, ended_by: str) -> Scan:
    """The scan of a subject whose files end the process that reads them."""
    files = ", ".join(map(str, subject.files))
    finding = f"{files}: reading them ended the process by {ended_by}; fetch or write them anew"
    return Scan(subject.name, (finding,))


def scan_all(dataset: Dataset, mapped: Mapper) -> list[Scan]:
    """Every subject's scan in the dataset's order, duplicates among the findings."""
    look = partial(scan, dataset=replace(dataset, subjects=()))
    results = dict(
        mapped(
            look,
            dataset.subjects,
            "Checking subjects",
            named=attrgetter("name"),
            lost=unscanned,
        )
    )
    scans = [results[index] for index in range(len(dataset.subjects))]
    names = Counter(s.subject for s in scans)
    owners = defaultdict(list)
    for subject, result in zip(dataset.subjects, scans, strict=True):
        if result.checksums:
            owners[tuple(result.checksums[str(p)] for p in subject.images)].append(subject.name)
    twins = {name: same for same in owners.values() if len(same) > 1 for name in same}
    return [
        replace(
            result,
            findings=result.findings
            + _duplicate_findings(subject, names[subject.name], twins.get(subject.name, [])),
        )
        for subject, result in zip(dataset.subjects, scans, strict=True)
    ]


def _duplicate_findings(subject: Subject, occurrences: int, twins: list[str]) -> tuple[str, ...]:
    where = subject.images[0]
    if occurrences > 1:
        return (f"{where}: duplicate subject: {occurrences} have this name",)
    if twins:
        others = ", ".join(twin for twin in twins if twin != subject.name)
        return (f"{where}: duplicate subject: the same images as {others}",)
    return ()


def findings_by_name(scans: Sequence[Scan]) -> dict[str, tuple[str, ...]]:
    """What is wrong, by subject; where several have one name, with all of them."""
    found: dict[str, tuple[str, ...]] = {}
    for result in scans:
        if result.findings:
            found[result.subject] = found.get(result.subject, ()) + result.findings
    return found


def report(scans: Sequence[Scan]) -> str:
    """All findings, a line each, and what to do about them."""
    lines = [f"  {s.subject}: {finding}" for s in scans for finding in s.findings]
    invalid = sum(bool(s.findings) for s in scans)
    return (
        f"{invalid} of {len(scans)} subjects are not valid; nothing was written. "
        "Mend them, or leave them out with --skip_invalid:\n" + "\n".join(lines)
    )


def tell_remarks(scans: Sequence[Scan]) -> None:
    """Warns of what is odd about files, in a line for each oddity."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for result in scans:
        for file, remark in result.remarks:
            found[remark].setdefault(result.subject, file)
    for remark, files in found.items():
        names, first = list(files), next(iter(files.values()))
        if len(names) == 1:
            logging.warning("%s: %s: %s", names[0], first, remark)
        else:
            which = f"{len(names)} subjects: {shortened(names)}"
            logging.warning("%s: for example %s: %s", which, first, remark)


def _storage_dtype(dtype: np.dtype) -> str:
    """The source's integer type; float16 where it is floating (or too wide for an integer)."""
    if np.issubdtype(dtype, np.integer) and dtype.itemsize <= 4 and dtype != np.uint32:
        return dtype.newbyteorder("=").name
    return "float16"
