"""Flags and study files with values that are wrong, hostile or impossible."""

import json
import tomllib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from tests.campaign import same
from tests.campaign.inside import Inside
from tests.campaign.material import Material, preprocess_flags, train_flags
from tests.campaign.mutations import ODD_VALUES, Random
from tests.campaign.outcome import Outcome, Result, Trial, count, judged, launched
from tests.campaign.records import read_run

PREPROCESSING = (
    *("spacing", "crop", "orientation", "modalities", "folds", "patch_size", "patches_per_class"),
    *("label_size", "view", "workers", "seed", "training_only", "method", "dataset", "data_dir"),
)
TRAINING = (
    *("epochs", "steps_per_epoch", "validation_folds", "test_folds", "seed", "precision", "preset"),
    *("select_by", "records", "hp.width", "hp.batch_size", "hp.learning_rate", "hp.unknown", "hp"),
)
ODD = (
    *("0", "-1", "1e99", "nan", "inf", "1,2", "1,2,3", "0,0,0", "0.001,0.001,0.001", "99999"),
    *("1000000000", "x", "../../x", "", " ", "x" * 300, "None", "true", "é"),
)
STUDY = """
title = "Two lines"
records = "{records}"
preset = "small"
seeds = [0, 1]
fractions = [1, 0.5]
hp = {{epochs = 2, steps_per_epoch = 2}}

[lines.one]
method = "kohl_cross_entropy"

[lines.two]
method = "kohl_hybrid"
hp = {{width = 4}}

[[splits]]
validation = ["1"]
test = ["2"]
"""


# Of a flag, where what was made says its value.
IN_MANIFEST = {"spacing": "wanted_spacing_mm", "crop": "crop", "seed": "seed"}
# Good values for whom has the time and the memory.
LONG = {
    *((flag, value) for flag in ("epochs", "steps_per_epoch") for value in ("99999", "1000000000")),
    *((f"hp.{name}", "99999") for name in ("batch_size", "width")),
}


def trials(material: Material, random: Random, share: float, inside: Inside) -> Iterator[Trial]:
    for flag, value in _drawn(PREPROCESSING, random, count(80, share)):
        run = partial(_preprocessing, material, flag, value)
        yield Trial("flags of preprocess", f"--{flag}={value}", run)
    for flag, value in _drawn(TRAINING, random, count(40, share)):
        run = partial(_training, material, inside, flag, value)
        yield Trial("flags of train", f"--{flag}={value}", run)
    for number in range(count(60, share)):
        seed = int(random.integers(2**32))
        run = partial(_study, material, seed)
        yield Trial("study files", f"number {number}, seed {seed}", run)


def _drawn(flags: Sequence[str], random: Random, number: int) -> list[tuple[str, str]]:
    """Pairs of a flag and an odd value, none twice."""
    pairs = [pair for pair in product(flags, ODD) if pair not in LONG]
    return [pairs[place] for place in random.permutation(len(pairs))[:number]]


def _preprocessing(material: Material, flag: str, value: str, folder: Path) -> Result:
    """What is accepted changes no byte, or makes a record set that says so and is whole."""
    records = folder / "records"
    flags = preprocess_flags(material.table("nii.gz"), records)
    ended = launched("preprocess", *flags, f"--{flag}={value}")

    def whole() -> bool:
        made = same.record_set(records)
        if made == same.record_set(material.records()):
            return True
        said = made["manifest"].get(IN_MANIFEST.get(flag, ""))
        numbers = said if isinstance(said, list) else [said]
        if numbers != [float(number) for number in value.split(",")]:
            return False
        return launched("preprocess", "--verify", records).status == 0

    result = judged(ended, whole)
    if {path.name for path in folder.iterdir()} - {"records"}:
        return Result(Outcome.SILENT, "written outside")
    return result


def _training(material: Material, inside: Inside, flag: str, value: str, folder: Path) -> Result:
    """What is accepted changes no byte, or leaves a run that says so and is whole."""
    work_dir = folder / "run"
    flags = train_flags(material.records(), work_dir, epochs=2)
    ended = launched("train", *flags, f"--{flag}={value}")

    def whole() -> bool:
        if same.run(work_dir) == same.run(material.run):
            return True
        settings = json.loads((work_dir / "hyperparameters.json").read_text())
        said = (settings | settings["hyperparameters"])[flag.removeprefix("hp.")]
        recorded = said == float(value) if isinstance(said, int | float) else str(said) == value
        # It raises where they cannot be read.
        return recorded and bool(inside.digest(read_run, work_dir))

    return judged(ended, whole)


def _study(material: Material, seed: int, folder: Path) -> Result:
    """One line of a study file is odd; what is accepted lists its trials, each with a folder."""
    random = np.random.default_rng(seed)
    lines = STUDY.format(records=material.records()).strip().splitlines()
    places = [number for number, line in enumerate(lines) if line]
    place = places[int(random.integers(len(places)))]
    way = int(random.integers(3))
    if way == 0:
        lines[place : place + 1] = []
    elif way == 1:
        lines[place:place] = [lines[place]]
    else:
        key = lines[place].partition("=")[0].strip("[] ")
        odd = ODD_VALUES[int(random.integers(len(ODD_VALUES)))]
        text = str(odd).lower() if isinstance(odd, bool | int | float) else f'"{odd}"'
        lines[place] = f"{key} = {text}" if "=" in lines[place] else f'[lines."{odd}"]'
    study = folder / "study.toml"
    study.write_text("\n".join(lines) + "\n")
    ended = launched("experiment", "--list", "--out_dir", folder / "out", study)
    result = judged(ended, lambda: _listed(ended.stdout) == _expected(study))
    return Result(result.outcome, f"line {place}, way {way}: {result.said}")


def _listed(text: str) -> set[str]:
    """The trials that are listed; none if one is there twice."""
    names = [line.removeprefix("to do").strip() for line in text.splitlines()[1:]]
    return set(names) if len(set(names)) == len(names) else set()


def _expected(study: Path) -> set[str]:
    """The trials' names by what the file says, read without the program's help."""
    content = tomllib.loads(study.read_text())
    splits = content.get("splits") or [{"test": [fold]} for fold in "012"]
    return {
        f"{line}-test{'+'.join(split['test'])}-seed{seed}-fraction{fraction:g}"
        for line in content["lines"]
        for split in splits
        for seed in content.get("seeds", [0])
        for fraction in content.get("fractions", [1])
    }
