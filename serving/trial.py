"""Tries a server for real: same labels, refusals, a kill under load, memory, latency.

python -m serving.trial --models models --name NAME --images Task04_Hippocampus/imagesTr --minutes 5

Starts serving/serve.py in its own environment, and is a client of it in this one. One process
serves all the minutes, watched; then it is killed under load, and another must go on.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from serving.clients import medians_ms, refusals, under_load
from serving.process import PYTHON, Served, serving
from tfadv.inference.model import local
from tfadv.inference.prediction import intake_of, predict
from tfadv.inference.prepared import prepare
from tfadv.inference.segmented import Model
from tfadv.inference.server import remote
from tfadv.inference.subjects import find
from tfadv.inference.versions import latest
from tfrecords.errors import UserError
from tfrecords.sources.subject import Subject

AWAY_S = 3
AFTER_S = 90  # A start takes most of it on a busy machine.
WATCH_S = 1
SHARES = (0, 0.1, 0.4, 0.7, 1)
MEBIBYTE = 2**20


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    flags.add_argument("--models", type=Path, required=True)
    flags.add_argument("--name", required=True)
    flags.add_argument("--images", type=Path, required=True, help="as of predict --images")
    flags.add_argument("--subjects", type=int, default=8)
    flags.add_argument("--clients", type=int, default=4)
    flags.add_argument("--minutes", type=float, default=5, help="of load before the kill")
    given = flags.parse_args()
    if not PYTHON.is_file():
        sys.exit(f"error: {PYTHON}: no such file; make it as docs/serving.md says")
    model = local(latest(given.models / given.name))
    subjects = find(given.images, model.description.modalities).subjects[: given.subjects]
    with tempfile.TemporaryDirectory() as folder, serving(given.models, Path(folder) / "log") as s:
        try:
            _try(s, model, given.name, subjects, Path(folder), given.clients, 60 * given.minutes)
        except BaseException:
            print(s.log.read_text()[-2000:], file=sys.stderr)
            raise


def _try(
    served: Served,
    model: Model,
    name: str,
    subjects: Sequence[Subject],
    folder: Path,
    clients: int,
    duration_s: float,
) -> None:
    began = time.monotonic()
    by_scheme = {scheme: remote(served.address(scheme, name)) for scheme in ("grpc", "http")}
    print(f"ready after {time.monotonic() - began:.1f} s")
    here = model.open(True)  # Loaded once.
    near = replace(model, open=lambda _: here)
    for scheme, far in by_scheme.items():
        same = sum(_same(far, near, subject, folder) for subject in subjects)
        print(f"{scheme}: of {len(subjects)} subjects, {same} label maps are predict's own")
    intake = intake_of(model.description, resample=False)
    volumes = [prepare(intake, subject).volume for subject in subjects]
    ways = {"direct": here} | {
        f"{scheme}{', with probabilities' * maps}": far.open(maps)
        for scheme, far in by_scheme.items()
        for maps in (False, True)
    }
    for way, ms in medians_ms(ways, volumes).items():
        print(f"{way}: {ms:.0f} ms, the median of {len(volumes)} volumes")
    for wrong, said in refusals(by_scheme["grpc"].open(False), volumes[0]).items():
        print(f"{wrong}: {said or 'NOT REFUSED'}")
    labels = [here(volume).label for volume in volumes]
    _under_kill(served, name, volumes, labels, clients, duration_s)


def _same(far: Model, near: Model, subject: Subject, folder: Path) -> bool:
    outputs = folder / "far.nii.gz", folder / "near.nii.gz"
    for model, output in zip((far, near), outputs, strict=True):
        predict(model, subject.images, output)
    found, expected = (nib.Nifti1Image.from_filename(output) for output in outputs)
    same_place = np.array_equal(found.affine, expected.affine)
    return same_place and np.array_equal(found.dataobj, expected.dataobj)


def _under_kill(
    served: Served,
    name: str,
    volumes: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    clients: int,
    duration_s: float,
) -> None:
    """Load on one process for `duration_s`, then a kill, and load on the next for AFTER_S.

    Memory is watched from the first second to the last.
    """
    resident: list[list[int]] = [[], []]  # Of both processes, every WATCH_S.
    began, ended = time.monotonic(), threading.Event()
    kill_s = began + duration_s

    def watch() -> None:
        try:
            _watch(served, resident[0], kill_s)
            served.kill()
            time.sleep(AWAY_S)
            served.start()
            _watch(served, resident[1], time.monotonic() + AFTER_S)
        finally:  # Also of a server that ended by itself: clients would ask on.
            ended.set()

    address = served.address("grpc", name)
    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(watch)
        load = under_load(lambda: remote(address), volumes, expected, clients, ended.is_set)
        watched.result()
    seconds, after = np.array(load.seconds), sum(came_s > kill_s for came_s in load.came_s)
    print(
        f"{clients} clients, {duration_s:.0f} s, a kill, {AFTER_S} s: {len(seconds)} answers, "
        f"{after} of them after the kill, {len(load.wrong)} wrong; median "
        f"{1000 * np.median(seconds):.0f} ms, longest {seconds.max():.1f} s"
    )
    for which, found in zip(("before", "after"), resident, strict=True):
        print(f"resident {which} the kill, {len(found)} looks: {_course(found)}")
    for fault in dict.fromkeys(load.wrong):
        print(f"WRONG: {fault}")
    if load.wrong or not after:
        sys.exit(1)


def _watch(served: Served, resident: list[int], until_s: float) -> None:
    while time.monotonic() < until_s:
        resident.append(served.resident_bytes)
        time.sleep(WATCH_S)


def _course(resident: Sequence[int]) -> str:
    """Bytes in time, as a sentence."""
    places = [int(share * (len(resident) - 1)) for share in SHARES]
    mebibytes = [resident[place] // MEBIBYTE for place in places]
    names = ", ".join(f"{share:.0%}" for share in SHARES)
    return f"at {names} of the time {mebibytes} MiB, at most {max(resident) // MEBIBYTE}"


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
