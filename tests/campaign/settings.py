"""Flags and study files with values that are wrong, hostile or impossible."""

import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.campaign.material import Material, preprocess_flags, train_flags
from tests.campaign.mutations import ODD_VALUES, Random
from tests.campaign.outcome import Outcome, Result, Trial, judged, launched

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


def trials(material: Material, random: Random, share: float) -> Iterator[Trial]:
    for number in range(round(120 * share)):
        flag = PREPROCESSING[int(random.integers(len(PREPROCESSING)))]
        value = ODD[int(random.integers(len(ODD)))]
        run = partial(_preprocessing, material, flag, value)
        yield Trial("flags of preprocess", f"number {number}: --{flag}={value}", run)
    for number in range(round(60 * share)):
        flag = TRAINING[int(random.integers(len(TRAINING)))]
        value = ODD[int(random.integers(len(ODD)))]
        run = partial(_training, material, flag, value)
        yield Trial("flags of train", f"number {number}: --{flag}={value}", run)
    for number in range(round(100 * share)):
        seed = int(random.integers(2**32))
        run = partial(_study, material, seed)
        yield Trial("study files", f"number {number}, seed {seed}", run)


def _preprocessing(material: Material, flag: str, value: str, folder: Path) -> Result:
    """Whatever is accepted makes a record set that verifies, in its own folder alone."""
    records = folder / "records"
    flags = preprocess_flags(material.table("nii.gz"), records)
    ended = launched("preprocess", *flags, f"--{flag}={value}")

    def whole() -> bool:
        verified = launched("preprocess", "--verify", records)
        return verified.status == 0 and {path.name for path in folder.iterdir()} == {"records"}

    return judged(ended, whole, subject="nothing is only told")


def _training(material: Material, flag: str, value: str, folder: Path) -> Result:
    """Whatever is accepted trains and leaves a run that is finished."""
    work_dir = folder / "run"
    ended = launched(
        "train", *train_flags(material.records(), work_dir, epochs=1), f"--{flag}={value}"
    )
    return judged(ended, (work_dir / "progress.json").is_file, subject="nothing is only told")


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
    result = judged(ended, lambda: _distinct(ended.stdout), subject="nothing is only told")
    if result.outcome is Outcome.HARMLESS:
        tomllib.loads(study.read_text())
    return Result(result.outcome, f"line {place}, way {way}: {result.said}")


def _distinct(listed: str) -> bool:
    """Whether trials are listed, no two alike."""
    names = [line for line in listed.splitlines() if line.strip()]
    return bool(names) and len(set(names)) == len(names)
