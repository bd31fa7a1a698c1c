"""Plans that are mutated, and wrong flags of what makes plans and trains by them."""

import json
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.campaign.inside import Inside
from tests.campaign.material import Material
from tests.campaign.mutations import ODD_VALUES, Random, damage
from tests.campaign.outcome import Outcome, Result, Trial, count, judged, launched
from tfadv import methods
from tfadv.run.run import Run
from tfadv.study.plan import read_study
from tfrecords.reading.record_set import open_record_set

PLAN = """
# 6 subjects
title = "1 minute for each line"
records = "{records}"
preset = "small"  # Where no value is given below.

[lines.baseline]
method = "kohl_cross_entropy"
hp = {{width = 4, precision = "float32", batch_size = 2, epochs = 2, steps_per_epoch = 2}}

[lines.adversarial]
method = "kohl_purely_adversarial"
hp = {{width = 4, discriminator_width = 4, batch_size = 2, epochs = 2, steps_per_epoch = 2}}
"""
# What has to be refused before anything is measured or trained.
OF_PLANNING = (
    *(f"--minutes={value}" for value in ("0", "-1", "nan", "inf", "x", "")),
    *(f"--memory_gb={value}" for value in ("0", "-1", "nan", "x", "")),
    *("--out={folder}", "--out={records}/manifest.json/plan.toml", "--unknown=1", "plan.toml"),
    *(f"--records={value}" for value in ("", "nowhere", "{folder}", "\u202e")),
)
OF_TRAINING = (
    *(f"--line={value}" for value in ("other", "", " ", "../x", "baseline,adversarial")),
    *("--preset=small", "--preset=auto", "--method=kohl_cross_entropy", "--minutes=nan"),
    *(f"--plan={value}" for value in ("", "nowhere", "{folder}", "{records}/manifest.json")),
    *("--hp.unknown=1", "--hp.width=0", "--records=nowhere", "--test_folds=9"),
)


def trials(material: Material, random: Random, share: float, inside: Inside) -> Iterator[Trial]:
    for number in range(count(80, share)):
        seed = int(random.integers(2**32))
        yield Trial(
            "plans", f"number {number}, seed {seed}", partial(_plan, material, inside, seed)
        )
    flags = [("plan", flag) for flag in OF_PLANNING] + [("train", flag) for flag in OF_TRAINING]
    chosen = random.permutation(len(flags))[: count(16, share)]
    for program, flag in (flags[place] for place in chosen.tolist()):
        run = partial(_flag, material, program, flag)
        yield Trial("flags of plans", f"{program} {flag}", run)


def planned(plan: Path) -> str:
    """What `train --plan` would train, as JSON: method, hyperparameters, record set."""
    study = read_study(plan)
    line = next(iter(study.lines))
    method = methods.get(study.lines[line].method).configure(study.preset, study.overrides(line))
    run = Run.new(method, open_record_set(study.records))
    return json.dumps([method.name, method.values, str(run.records.folder)])


def _plan(material: Material, inside: Inside, seed: int, folder: Path) -> Result:
    """A line or bytes of a plan are odd. What is accepted is trained as it stands there."""
    random = np.random.default_rng(seed)
    plan = folder / "plan.toml"
    text = PLAN.format(records=material.records())
    plan.write_text(text)
    done = damage(plan, random) if random.random() < 0.3 else _edit(plan, random)
    found = inside.tried(planned, plan, expected="")
    if found.outcome is Outcome.SILENT and _stands(plan, found.said):
        found = Result(Outcome.HARMLESS)
    return Result(found.outcome, f"{done}: {found.said}")


def _edit(plan: Path, random: Random) -> str:
    """A line less, or twice, or with an odd value in it."""
    lines = plan.read_text().splitlines()
    places = [number for number, line in enumerate(lines) if line]
    place = places[int(random.integers(len(places)))]
    before = lines[place]
    way = int(random.integers(4))
    odd = json.dumps(ODD_VALUES[int(random.integers(len(ODD_VALUES)))]).replace("{", "{x=")
    if way == 0:
        lines[place : place + 1] = []
    elif way == 1:
        lines[place:place] = [before]
    elif "{" in before:
        values = before[before.index("{") + 1 : -1].split(", ")
        chosen = int(random.integers(len(values)))
        values[chosen] = f"{values[chosen].partition('=')[0]}= {odd}"
        lines[place] = f"hp = {{{', '.join(values)}}}"
    else:
        lines[place] = f"{before.partition('=')[0]}= {odd}"
    plan.write_text("\n".join(lines) + "\n")
    return f"line {place}, way {way}"


def _stands(plan: Path, said: str) -> bool:
    """Whether that is the first line of the file, read without the program's help."""
    name, values, records = json.loads(said)
    content = tomllib.loads(plan.read_text())
    line = next(iter(content["lines"].values()))
    wanted = {**content.get("hp", {}), **line.get("hp", {})}
    same = all(str(values[key]) == str(value) for key, value in wanted.items())
    return same and (name, records) == (line["method"], content["records"])


def _flag(material: Material, program: str, flag: str, folder: Path) -> Result:
    records = material.records()
    given = flag.replace("{folder}", str(folder)).replace("{records}", str(records))
    plan, made = folder / "plan.toml", folder / "made"
    plan.write_text(PLAN.format(records=records))
    flags: tuple[object, ...] = ("--records", records, "--out", made)
    if program == "train":
        flags = ("--plan", plan, "--work_dir", made)
    found = judged(launched(program, *flags, given), lambda: False)
    if made.exists():
        return Result(Outcome.SILENT, f"refused, and yet it wrote: {found.said}")
    return found
