"""Cross-validations of which a run is damaged, or another one; wrong flags of train --all_folds."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.campaign import same
from tests.campaign.material import ALL_FOLDS, Material, copied, train_flags
from tests.campaign.mutations import Random
from tests.campaign.outcome import Outcome, Result, Trial, count, judged, launched
from tests.campaign.together import damaged_run

WRONG_FLAGS = (
    *(f"--validation_folds={value}" for value in ("0", "9")),
    *(f"--test_folds={value}" for value in ("0,1", "9", "0,1,2", "../x", "unlabelled", "2,2,x")),
    *("--epochs=0", "--seed=-1", "--select_by=nothing", "--init_from=nowhere", "--seed=1"),
    *("--positive_fraction=0", "--positive_fraction=nan", "--all_folds=perhaps", "--hp.width=0"),
)


def trials(material: Material, random: Random, share: float) -> Iterator[Trial]:
    for number in range(count(20, share)):
        seed = int(random.integers(2**32))
        run = partial(_damaged, material, seed)
        yield Trial("cross-validations", f"number {number}, seed {seed}", run)
    for place in random.permutation(len(WRONG_FLAGS))[: count(10, share)].tolist():
        flag = WRONG_FLAGS[place]
        yield Trial("flags of train --all_folds", flag, partial(_flag, material, flag))


def runs_of(folder: Path) -> dict[str, same.Made]:
    """The runs of a finished cross-validation."""
    return {path.name: same.run(path) for path in sorted(folder.glob("fold_*"))}


def whole(material: Material) -> dict[str, same.Made]:
    """What they are where nothing disturbed them."""
    return {"fold_0": same.run(material.fold_run), "fold_1": same.run(material.run)}


def _damaged(material: Material, seed: int, folder: Path) -> Result:
    """A finished one goes on. What is missing is trained anew, with the same bytes."""
    random = np.random.default_rng(seed)
    runs = folder / "runs"
    for name, source in (("fold_0", material.fold_run), ("fold_1", material.run)):
        copied(source, runs / name)
    chosen = runs / f"fold_{int(random.integers(2))}"
    way = int(random.integers(6))
    done = f"way {way}, {chosen.name}"
    if way == 0:
        shutil.rmtree(chosen)
    elif way == 1:
        shutil.rmtree(chosen)
        copied(material.unlike_run, chosen)
    elif way == 2:
        shutil.rmtree(chosen)
        chosen.write_text("no folder")
    elif way == 3:
        shutil.copy(material.run / "hyperparameters.json", runs)
    else:
        done += damaged_run(chosen, random)
    flags = (*train_flags(material.records(), runs, epochs=2), *ALL_FOLDS)
    found = judged(launched("train", *flags), lambda: runs_of(runs) == whole(material))
    return Result(found.outcome, f"{done}: {found.said}")


def _flag(material: Material, flag: str, folder: Path) -> Result:
    """Beside a finished run, of which the flags may not be others."""
    runs = folder / "runs"
    copied(material.fold_run, runs / "fold_0")
    before = same.contents(runs, "*")
    flags = (*train_flags(material.records(), runs, epochs=2), *ALL_FOLDS, flag)
    found = judged(launched("train", *flags), lambda: False)
    if same.contents(runs, "*") != before:
        return Result(Outcome.SILENT, f"refused, and yet it wrote: {found.said}")
    return found
