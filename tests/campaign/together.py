"""Runs that are to be one model, and weights that runs are to begin with."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import keras
import numpy as np

from tests.campaign.inside import Inside
from tests.campaign.material import Material, copied
from tests.campaign.mutations import Random, damage, edit_json
from tests.campaign.outcome import Outcome, Result, Trial, count
from tests.campaign.records import METHOD, SMALL
from tfadv import methods
from tfadv.run.ensemble import load_ensemble
from tfadv.run.initial import begin_with, initial_of, read_first_weights
from tfadv.run.run import Run
from tfadv.run.work_dir import WorkDir
from tfrecords.reading.record_set import open_record_set

UNLIKE = "of another normalisation"


def trials(material: Material, random: Random, share: float, inside: Inside) -> Iterator[Trial]:
    for kind, total, trial in (
        ("runs as one model", 40, _together),
        ("weights to begin with", 60, _initial),
    ):
        for number in range(count(total, share)):
            seed = int(random.integers(2**32))
            yield Trial(
                kind, f"number {number}, seed {seed}", partial(trial, material, inside, seed)
            )


def together(folders: Sequence[Path]) -> str:
    """A digest of what export takes of runs: what is noted of them, and all weights."""
    ensemble = load_ensemble([WorkDir(folder) for folder in folders])
    predictor = ensemble.predictor()
    digest = hashlib.sha256(repr(ensemble.describe(predictor)).encode())
    for member in predictor.members:
        for weights in member.segmentor.get_weights():
            digest.update(weights.tobytes())
    return digest.hexdigest()


def _together(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """Two runs, of which the second is damaged, the first again, or none like it."""
    random = np.random.default_rng(seed)
    first, second = material.run, copied(material.other_run, folder / "second")
    expected = inside.digest(together, (first, material.other_run))
    way = int(random.integers(5))
    done = f"way {way}"
    if way == 0:
        second = (first, first / ".", folder / "link")[int(random.integers(3))]
        (folder / "link").symlink_to(first)
    elif way == 1:
        unlike = (material.unlike_run, material.model, material.records(), folder / "nowhere")
        second = unlike[int(random.integers(len(unlike)))]
        done += f" {second.name}"
    elif way == 2:
        (second / "progress.json").unlink()
    else:
        done += damaged_run(second, random)
    result = inside.tried(together, (first, second), expected=expected)
    return Result(result.outcome, f"{done}: {result.said}")


def damaged_run(run: Path, random: Random) -> str:
    """One of a run's files edited, damaged or gone."""
    weights = sorted((run / "checkpoints").iterdir())
    files = [run / "hyperparameters.json", run / "progress.json", *weights]
    chosen = files[int(random.integers(len(files)))]
    if random.random() < 0.2:
        chosen.unlink()
        return f" {chosen.name} is gone"
    edits = chosen.suffix == ".json" and random.random() < 0.5
    done = edit_json(chosen, random) if edits else damage(chosen, random)
    return f" {chosen.name}: {done}"


def begun(source: Path, records: Path, folder: Path) -> str:
    """A digest of the weights with which a run begins that takes them from a source."""
    method = methods.get(METHOD).configure("small", [*SMALL])
    initial = initial_of(source, WorkDir(folder))
    run = Run.new(method, open_record_set(records), initial=initial)
    keras.utils.set_random_seed(0)
    model = run.build_model()
    begin_with(read_first_weights(run.settings), model)
    digest = hashlib.sha256()
    for network in model.players.networks.values():
        for weights in network.get_weights():
            digest.update(weights.tobytes())
    return digest.hexdigest()


def _initial(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """First weights of a run or a model that is damaged, unlike, or neither."""
    random = np.random.default_rng(seed)
    of_run = random.random() < 0.5
    plain = material.run if of_run else material.model
    source = copied(plain, folder / "source")
    way = int(random.integers(4))
    if way == 0:
        others = (material.records(), material.table("nii.gz"), material.label, folder / "nowhere")
        source = others[int(random.integers(len(others)))]
        done = f"of {source.name}"
    elif way == 1 and not of_run:
        files = sorted(path for path in source.rglob("*") if path.is_file())
        chosen = files[int(random.integers(len(files)))]
        if random.random() < 0.2:
            chosen.unlink()
        else:
            damage(chosen, random)
        done = f"model, {chosen.name}"
    elif way == 1:
        source = material.unlike_run
        done = UNLIKE
    elif of_run:
        done = damaged_run(source, random)
    else:
        done = edit_json(source / "assets" / "description.json", random)
    expected = inside.digest(begun, plain, material.records(), folder / "run")
    result = inside.tried(begun, source, material.records(), folder / "run", expected=expected)
    if done == UNLIKE and result.outcome is Outcome.SILENT:
        result = Result(Outcome.HARMLESS)  # Its weights all fit, and are others.
    return Result(result.outcome, f"{done}: {result.said}")
