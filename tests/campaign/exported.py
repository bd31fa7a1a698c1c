"""Runs that become ONNX files, and judges of runs."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime

from tests.campaign import same
from tests.campaign.inside import Inside
from tests.campaign.material import Material, copied, volume
from tests.campaign.mutations import Random, damage, edit_json
from tests.campaign.outcome import Outcome, Result, Trial, count
from tests.campaign.together import damaged_run
from tfadv.inference.onnx_file import export_onnx
from tfadv.run.ensemble import load_ensemble
from tfadv.run.judge import build_judge, load_judge, save_judge
from tfadv.run.run import load_run
from tfadv.run.work_dir import WorkDir
from tfadv.training.judge import train_judge

STEPS = 2  # That a judge learns.
SHAPE = (2, 9, 11, 2)
ONCE = threading.Lock()  # Trials run in several threads.


def trials(material: Material, random: Random, share: float, inside: Inside) -> Iterator[Trial]:
    for kind, total, trial in (
        ("exports to ONNX", 20, _onnx),
        ("runs to judge", 10, _run),
        ("judges", 30, _judge),
    ):
        for number in range(count(total, share)):
            seed = int(random.integers(2**32))
            run = partial(trial, material, inside, seed)
            yield Trial(kind, f"number {number}, seed {seed}", run)


def exported(run: Path, path: Path) -> str:
    """A digest of what the file answers in onnxruntime."""
    ensemble = load_ensemble([WorkDir(run)])
    predictor = ensemble.predictor()
    export_onnx(predictor, ensemble.describe(predictor), path)
    session = onnxruntime.InferenceSession(path)
    array = volume(np.random.default_rng(0), SHAPE)
    answers = session.run(None, {"volume": array})
    return hashlib.sha256(b"".join(answer.tobytes() for answer in answers)).hexdigest()


def _onnx(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """The run is damaged, or there is something at the file's place."""
    random = np.random.default_rng(seed)
    expected = inside.digest(exported, material.run, material.folder / "plain.onnx")
    run, path = material.run, folder / "m" / "a.onnx"
    path.parent.mkdir()
    way = int(random.integers(8))
    done = f"way {way}"
    if way == 0:
        path.mkdir()
    elif way == 1:
        path.write_text("precious")
    elif way == 2:
        path.with_suffix(".json").write_text("{}")
    elif way == 3:
        path.symlink_to(folder / "nowhere")
    elif way == 4:
        path = path.parent / "a.onnx" / "b.onnx"
        path.parent.write_text("no folder")
    elif way == 5:  # Ours, and of another run.
        inside.digest(exported, material.run, path)
    else:
        run = copied(material.run, folder / "run")
        done += damaged_run(run, random)
    before = same.contents(path.parents[1], "*")
    found = inside.tried(exported, run, path, expected=expected)
    if found.outcome is Outcome.REFUSED and same.contents(path.parents[1], "*") != before:
        return Result(Outcome.SILENT, f"{done}: refused, and yet it wrote: {found.said}")
    return Result(found.outcome, f"{done}: {found.said}")


def judged(run: Path) -> str:
    """What is noted of a run's judge, which learns now."""
    work_dir = WorkDir(run)
    with work_dir.locked():
        return str(train_judge(work_dir, STEPS))


def _run(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """Of a damaged run."""
    run = copied(material.run, folder / "run")
    done = damaged_run(run, np.random.default_rng(seed))
    found = inside.tried(judged, run, expected="")
    if found.outcome is Outcome.REFUSED and list(run.glob("judge*")):
        return Result(Outcome.SILENT, f"{done}: refused, and yet there is a judge: {found.said}")
    if found.outcome is Outcome.SILENT:  # What an undamaged one gives takes long: seldom asked.
        plain = copied(material.run, folder / "plain")
        found = inside.tried(judged, plain, expected=found.said)
    return Result(found.outcome, f"{done}: {found.said}")


def with_judge(run: Path) -> str:
    """Gives a run a judge that has learnt nothing; see `read_judge`."""
    work_dir = WorkDir(run)
    save_judge(work_dir, build_judge(load_run(work_dir).run), STEPS, 0.5, 1)
    return read_judge(run)


def read_judge(run: Path) -> str:
    """A digest of the weights of a run's judge, as export and evaluation take it."""
    work_dir = WorkDir(run)
    judge = load_judge(work_dir, load_run(work_dir).run)
    assert judge is not None
    return hashlib.sha256(b"".join(w.tobytes() for w in judge.network.get_weights())).hexdigest()


def _judge(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """One of a judge's files is damaged, or its weights are gone, or another network's."""
    random = np.random.default_rng(seed)
    with ONCE:
        expected = inside.digest(with_judge, material.judged)
    run = copied(material.judged, folder / "run")
    note, weights = run / "judge.json", run / "judge.weights.h5"
    way = int(random.integers(5))
    done = f"way {way}"
    if way == 0:
        done = edit_json(note, random)
    elif way == 1:
        weights.unlink()
    elif way == 2:
        weights.write_bytes(next(iter(sorted((run / "checkpoints").iterdir()))).read_bytes())
    else:
        done = damage((note, weights)[way - 3], random)
    found = inside.tried(read_judge, run, expected=expected)
    return Result(found.outcome, f"{done}: {found.said}")
