"""Thousands of damaged, hostile and impossible inputs, full disks and kills, and what came of them.

python -m tests.campaign                     # all of it, on two cores in less than half an hour
python -m tests.campaign --share 0.02        # a fiftieth, of each category one at least
python -m tests.campaign --only kills        # but not beside other work of this machine

Prints, by category, how many trials were refused in a clear line, accepted with a warning, harmless
(the same bytes as without the damage), silent, ended by a traceback or a crash, or hung. The exit
status is 1 if any of the last four is not 0. What cannot be tried on a machine is named.
"""

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tests.campaign import (
    disks,
    exported,
    folds,
    inputs,
    kills,
    many,
    plans,
    records,
    scored,
    servers,
    settings,
    together,
    volumes,
)
from tests.campaign.another_user import AnotherUser
from tests.campaign.inside import Inside
from tests.campaign.material import Material
from tests.campaign.outcome import GOOD, Outcome, Result, Trial
from tests.campaign.running import Running

AT_ONCE = 2
APART = "TFADV_CAMPAIGN_APART"  # Set where the campaign's mounts are its own.
# Which categories draw by which generator: one more changes no other.
INPUTS, SETTINGS, KILLS, DISKS, RECORDS, VOLUMES, MANY, TOGETHER, SCORED = range(9)
FOLDS, PLANS, EXPORTED, SERVERS = range(9, 13)


def main() -> None:
    arguments = _arguments()
    no_disks = disks.why_not()
    if not no_disks and APART not in os.environ:
        words = (*disks.OWN_MOUNTS, sys.executable, "-m", "tests.campaign", *sys.argv[1:])
        os.execvpe(words[0], words, {**os.environ, APART: "1"})
    root = Path(tempfile.mkdtemp(prefix="campaign-"))
    root.chmod(0o755)  # Trials as another user read the material.
    started_s = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # As Ctrl-C: the table is printed.
    table: dict[str, Counter[Outcome]] = defaultdict(Counter)
    with ExitStack() as stack:
        insides = [stack.enter_context(Inside()) for _ in range(AT_ONCE)]
        user = stack.enter_context(AnotherUser(root / "everybody's"))
        running = stack.enter_context(Running(root / "served"))
        no_user = no_disks or user.why_not()
        reasons = {
            "full disks": no_disks,
            "read-only folders": no_disks,
            "another user": no_user,
            servers.KIND: running.why_not(),
        }
        missing = {kind: reason for kind, reason in reasons.items() if reason}
        material = _material(root)
        chosen = [
            trial
            for trial in _trials(material, arguments.seed, arguments.share, insides, user, running)
            if arguments.only in trial.category and not trial.category.startswith(tuple(missing))
        ]
        # In random order: of one that is stopped, the table tells of all categories.
        order = np.random.default_rng(arguments.seed).permutation(len(chosen)).tolist()
        bad = _done(root, [chosen[place] for place in order], table)
        _print(table)
    for kind, reason in missing.items():
        print(f"Not tried: {kind}: {reason}")
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(usage.ru_utime + usage.ru_stime for usage in used)
    elapsed_s = time.monotonic() - started_s
    print(f"seed {arguments.seed}: {elapsed_s:.0f} s, of processors {cpu_s:.0f} s")
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
    material = Material(root / "material")
    material.folder.mkdir()
    print("Making what will be damaged", flush=True)
    material.make()
    return material


def _trials(
    material: Material,
    seed: int,
    share: float,
    insides: Sequence[Inside],
    user: AnotherUser,
    running: Running,
) -> Iterator[Trial]:
    def drawn(place: int) -> np.random.Generator:
        return np.random.default_rng([seed, place])

    yield from kills.trials(material, drawn(KILLS), share)
    yield from inputs.trials(material, drawn(INPUTS), share, insides[0])
    yield from settings.trials(material, drawn(SETTINGS), share, insides[0])
    yield from disks.trials(material, drawn(DISKS), share, user)
    yield from records.trials(material, drawn(RECORDS), share, insides[0])
    yield from volumes.trials(material, drawn(VOLUMES), share, insides[1])
    yield from many.trials(material, drawn(MANY), share, insides[0])
    yield from together.trials(material, drawn(TOGETHER), share, insides[1])
    yield from scored.trials(material, drawn(SCORED), share, insides[0])
    yield from folds.trials(material, drawn(FOLDS), share)
    yield from plans.trials(material, drawn(PLANS), share, insides[1])
    yield from exported.trials(material, drawn(EXPORTED), share, insides[1])
    yield from servers.trials(material, drawn(SERVERS), share, insides[0], running)


def _done(root: Path, chosen: Sequence[Trial], table: dict[str, Counter[Outcome]]) -> int:
    """Does all trials, several at once, and notes what they end with; how many ended badly."""
    bad = 0
    pool = ThreadPoolExecutor(AT_ONCE)
    trials = {pool.submit(_tried, root, *pair): pair[1] for pair in enumerate(chosen)}
    try:
        for done in tqdm(as_completed(trials), "Trials", len(trials)):
            trial, result = trials[done], done.result()
            table[trial.category][result.outcome] += 1
            if result.outcome not in GOOD:
                bad += 1
                tqdm.write(f"{result.outcome.value}: {trial.category}, {trial.name}: {result.said}")
    except KeyboardInterrupt:
        bad += 1  # It was no whole campaign.
        print("Stopped")
    pool.shutdown(wait=False, cancel_futures=True)  # The table comes at once.
    return bad


def _tried(root: Path, number: int, trial: Trial) -> Result:
    folder = root / f"trial-{number:05d}"
    folder.mkdir()
    try:
        result = trial.run(folder)
    # Whatever it is, the other trials go on, and the table tells of it.
    except Exception:
        result = Result(Outcome.TRACEBACK, f"the campaign's own: {traceback.format_exc()}")
    if result.outcome in GOOD:
        shutil.rmtree(folder)
    return result


def _print(table: dict[str, Counter[Outcome]]) -> None:
    names = [outcome.value for outcome in Outcome]
    print("| category | tried | " + " | ".join(names) + " |")
    print("|---|" + "---|" * (len(names) + 1))
    total: Counter[Outcome] = Counter()
    for category, counts in [*sorted(table.items()), ("all", total)]:
        if category != "all":
            total.update(counts)
        cells = [counts.total(), *(counts[outcome] for outcome in Outcome)]
        print(f"| {category} | " + " | ".join(map(str, cells)) + " |")
