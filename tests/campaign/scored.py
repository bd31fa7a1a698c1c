"""Models that are scored on records and folds, and addresses of servers."""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.campaign import same
from tests.campaign.inside import Inside
from tests.campaign.material import Material, copied
from tests.campaign.mutations import Random, damage
from tests.campaign.outcome import Result, Trial, count
from tfadv.evaluation.evaluate import evaluate
from tfadv.evaluation.served import Served
from tfadv.inference.address import Address
from tfadv.inference.versions import latest
from tfadv.run.work_dir import WorkDir
from tfrecords.reading.record_set import open_record_set

FOLD = "2"  # Of which the model knows no subject.
ODD_FOLDS = ("0", "0,2", "3", " ", "-1", "training", "unlabelled", "../x", "x" * 300, "\0")
ODD_ADDRESSES = (
    *("", "x", "grpc://", "grpc://h/x", "grpc://h:8081", "grpc://h:8081/", "grpc://h:x/n"),
    *("grpc://h:99999/n", "ftp://h:8081/n", "grpc://u:p@h:8081/n", "http://h:1/n?x=1", "[", "//"),
    *("grpc://h:8081/n/0", "grpc://h:8081/n/latest", "grpc://h:8081/n/1/2", "http://[::1/n", "\0"),
)


def trials(material: Material, random: Random, share: float, inside: Inside) -> Iterator[Trial]:
    for number in range(count(20, share)):
        seed = int(random.integers(2**32))
        run = partial(_scored, material, inside, seed)
        yield Trial("models scored", f"number {number}, seed {seed}", run)
    for text in ODD_ADDRESSES[: count(len(ODD_ADDRESSES), share)]:
        yield Trial("addresses of servers", repr(text), partial(_address, inside, text))


def scored(model: Path, records: Path, folds: str, folder: Path) -> str:
    """A digest of the tables of a model's scores."""
    opened, served = open_record_set(records), Served(latest(model))
    chosen = tuple(folds.split(","))
    served.require_unseen(opened, chosen)
    evaluate(WorkDir(folder), served, opened, chosen)
    return hashlib.sha256(b"".join(same.evaluation(folder).values())).hexdigest()


def _scored(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """On folds that it knows or that are none, on other records, or one of both is damaged."""
    random = np.random.default_rng(seed)
    model, records, folds = material.model, material.records(), FOLD
    expected = inside.digest(scored, model, records, folds, material.folder / "scored")
    way = int(random.integers(4))
    if way == 0:
        done = folds = ODD_FOLDS[int(random.integers(len(ODD_FOLDS)))]
    elif way == 1:
        records = (material.decathlon_records, folder / "no", model)[int(random.integers(3))]
        done = records.name
    else:
        if way == 2:
            damaged = model = copied(model, folder / "model")
        else:
            damaged = records = copied(records, folder / "records")
        files = sorted(path for path in damaged.rglob("*") if path.is_file())
        chosen = files[int(random.integers(len(files)))]
        done = f"{chosen.name}: {damage(chosen, random)}"
    result = inside.tried(scored, model, records, folds, folder / "out", expected=expected)
    return Result(result.outcome, f"{done!r:.60}: {result.said}")


def parsed(text: str) -> str:
    """An address, as it is understood."""
    return str(Address.parse(text))


def _address(inside: Inside, text: str, folder: Path) -> Result:
    """One that is none."""
    result = inside.tried(parsed, text, expected="nothing")
    return Result(result.outcome, f"{text!r}: {result.said}")
