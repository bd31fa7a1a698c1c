"""Damaged manifests, shards and run files at the doors of training and evaluation."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.campaign.inside import Inside
from tests.campaign.material import Material, copied
from tests.campaign.mutations import Random, damage, edit_json
from tests.campaign.outcome import Result, Trial, count
from tfadv import methods
from tfadv.run.run import Run, load_run
from tfadv.run.work_dir import WorkDir
from tfrecords.reading.batches import training_batches
from tfrecords.reading.record_set import damage_named, open_record_set, subject_volumes

METHOD = "kohl_purely_adversarial"
SMALL = ("batch_size=2", "width=4", "discriminator_width=4", "precision=float32")
RUN_FILES = ("hyperparameters.json", "progress.json")


def trials(material: Material, random: Random, share: float, inside: Inside) -> Iterator[Trial]:
    for kind, total, change in (
        ("manifest", 120, _edited),
        ("manifest, bytes", 30, _damaged_manifest),
        ("shards", 80, _damaged_shard),
        ("shards exchanged", 30, _exchanged),
    ):
        for number in range(count(total, share)):
            seed = int(random.integers(2**32))
            run = partial(_records, material, inside, change, seed)
            yield Trial(kind, f"number {number}, seed {seed}", run)
    for number in range(count(60, share)):
        seed = int(random.integers(2**32))
        run = partial(_run, material, inside, seed)
        yield Trial("run files", f"number {number}, seed {seed}", run)


def _records(
    material: Material,
    inside: Inside,
    change: Callable[[Path, Random], str],
    seed: int,
    folder: Path,
) -> Result:
    records = copied(material.records(), folder / "records")
    done = change(records, np.random.default_rng(seed))
    expected = inside.digest(read_records, material.records())
    result = inside.tried(read_records, records, expected=expected)
    return Result(result.outcome, f"{done}: {result.said}")


def _edited(records: Path, random: Random) -> str:
    return edit_json(records / "manifest.json", random)


def _damaged_manifest(records: Path, random: Random) -> str:
    return damage(records / "manifest.json", random)


def _damaged_shard(records: Path, random: Random) -> str:
    shards = sorted(records.glob("*.tfrecord"))
    chosen = shards[int(random.integers(len(shards)))]
    return f"{chosen.name}: {damage(chosen, random)}"


def _exchanged(records: Path, random: Random) -> str:
    """Two shards of one kind change places."""
    shards = sorted(records.glob("*.tfrecord"))
    one = shards[int(random.integers(len(shards)))]
    kind = one.name.partition("-")[0]
    others = [path for path in shards if path != one and path.name.startswith(kind)]
    other = others[int(random.integers(len(others)))]
    one.rename(records / "held")
    other.rename(one)
    (records / "held").rename(other)
    return f"{one.name} and {other.name}"


def _run(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    random = np.random.default_rng(seed)
    run = copied(material.run, folder / "run")
    weights = sorted((run / "checkpoints").iterdir())
    files = [*(run / name for name in RUN_FILES), *weights]
    chosen = files[int(random.integers(len(files)))]
    edits = chosen.suffix == ".json" and random.random() < 0.7
    done = edit_json(chosen, random) if edits else damage(chosen, random)
    result = inside.tried(read_run, run, expected=inside.digest(read_run, material.run))
    return Result(result.outcome, f"{chosen.name}: {done}: {result.said}")


def read_records(folder: Path) -> str:
    """All that training and evaluation read of a record set, with each fold once among those that
    train."""
    records = open_record_set(folder)
    manifest = records.manifest
    digest = hashlib.sha256(repr(manifest).encode())
    run = Run.new(methods.get(METHOD).configure("small", [*SMALL]), records)
    recipe = run.method.recipe(manifest)
    steps = -(-sum(shard.examples for shard in manifest.shards) // recipe.minibatch)
    with damage_named(records):
        for batch in training_batches(records, manifest.folds, recipe, 0, range(1), steps):
            digest.update(batch["image"].numpy().tobytes() + batch["label"].numpy().tobytes())
    for volume in subject_volumes(records, manifest.folds):
        digest.update(volume.subject.encode() + volume.image.tobytes() + volume.label.tobytes())
    return digest.hexdigest()


def read_run(folder: Path) -> str:
    """All that evaluation and resuming read of a run."""
    work_dir = WorkDir(folder)
    trained = load_run(work_dir)
    last = work_dir.restore(trained.model)
    digest = hashlib.sha256(repr((trained.run.settings, last)).encode())
    for variable in trained.model.saved_variables:
        digest.update(variable.numpy().tobytes())
    return digest.hexdigest()
