"""Thousands of damaged, hostile and impossible inputs, full disks and kills, and what came of them.

python -m tests.campaign                     # all of it, on two cores in less than half an hour
python -m tests.campaign --share 0.05        # a twentieth
python -m tests.campaign --only kills

Prints, by category, how many trials were refused in a clear line, accepted with a warning, harmless
(the same bytes as without the damage), silent, ended by a traceback or a crash, or hung. The exit
status is 1 if any of the last four is not 0.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tests.campaign import disks, inputs, kills, records, settings, volumes
from tests.campaign.inside import Inside
from tests.campaign.material import Material
from tests.campaign.outcome import GOOD, Outcome, Result, Trial

AT_ONCE = 2
LOCAL = threading.local()


def main() -> None:
    arguments = _arguments()
    root = Path(tempfile.mkdtemp(prefix="campaign-"))
    root.chmod(0o755)  # Trials as another user read the material.
    started_s = time.monotonic()
    insides: list[Inside] = []
    table: dict[str, Counter[Outcome]] = defaultdict(Counter)
    bad = 0
    material = _material(root)
    chosen = [
        trial
        for trial in _trials(material, arguments.seed, arguments.share, insides)
        if arguments.only in trial.category
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        run = pool.map(lambda pair: _tried(root, *pair), enumerate(chosen))
        for trial, result in zip(chosen, tqdm(run, "Trials", len(chosen)), strict=True):
            table[trial.category][result.outcome] += 1
            if result.outcome not in GOOD:
                bad += 1
                tqdm.write(f"{result.outcome.value}: {trial.category}, {trial.name}: {result.said}")
    for inside in insides:
        inside.close()
    _print(table)
    print(f"seed {arguments.seed}, {time.monotonic() - started_s:.0f} s")
    if not bad:
        shutil.rmtree(root)
    sys.exit(f"{bad} trials are not as they should be; their files are in {root}" if bad else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the trials of each category")
    parser.add_argument("--only", default="", help="categories whose name holds this")
    return parser.parse_args()


def _material(root: Path) -> Material:
    """All of it, so that no two trials make the same."""
    material = Material(root / "material")
    material.folder.mkdir()
    print("Making what will be damaged")
    material.make()
    return material


def _trials(material: Material, seed: int, share: float, insides: list[Inside]) -> Iterator[Trial]:
    """Every category draws by a generator of its own: one more changes no other."""
    for place, room in enumerate((inputs, settings, kills, disks)):
        yield from room.trials(material, np.random.default_rng([seed, place]), share)
    for place, room in enumerate((records, volumes)):
        inside = Inside()
        insides.append(inside)
        yield from room.trials(material, np.random.default_rng([seed, 100 + place]), share, inside)


def _tried(root: Path, number: int, trial: Trial) -> Result:
    folder = root / f"trial-{number:05d}"
    folder.mkdir()
    result = trial.run(folder)
    if result.outcome in GOOD:
        shutil.rmtree(folder)
    return result


def _print(table: dict[str, Counter[Outcome]]) -> None:
    names = [outcome.value for outcome in Outcome]
    print("| category | tried | " + " | ".join(names) + " |")
    print("|---|" + "---|" * (len(names) + 1))
    total: Counter[Outcome] = Counter()
    for category, counts in [*table.items(), ("all", total)]:
        if category != "all":
            total.update(counts)
        cells = [counts.total(), *(counts[outcome] for outcome in Outcome)]
        print(f"| {category} | " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
