"""Measures what this repository does, as ratios within one run, and says which goals are missed.

python benchmarks/run.py                          # all of it
python benchmarks/run.py --list
python benchmarks/run.py predict_over_network     # one line
python benchmarks/run.py --watched                # what must not get worse

The exit status is 1 if a goal is missed; with --watched, if one is 1.5 times what it usually is,
and is so again when it is measured once more.
A further topic is one more file of entries here.
"""

import argparse
import sys

import beside_pytorch
import inference
import reading
import training
from measuring import HEADER, Entry, NotHereError, measure, watch

TOPICS = (inference, reading, training, beside_pytorch)
ENTRIES = {
    value.name: value for topic in TOPICS for value in vars(topic).values() if type(value) is Entry
}


def main() -> None:
    arguments = _arguments()
    chosen = [
        entry
        for entry in (ENTRIES[name] for name in arguments.name or ENTRIES)
        if entry.usual is not None or not arguments.watched
    ]
    if arguments.list:
        print("\n".join(f"{entry.name}: {entry.what}" for entry in chosen))
        return
    print(HEADER)
    missed, worse = [], []
    for entry in chosen:
        try:
            result = (watch if arguments.watched else measure)(entry, arguments.rounds)
        except NotHereError as error:
            print(f"{entry.name}: not measured: {error}", file=sys.stderr, flush=True)
            missed.append(f"{entry.name} (not measured)")
            continue
        print(result, flush=True)
        if not result.met:
            missed.append(entry.name)
        if result.worse:
            worse.append(f"{entry.name} (usually {entry.usual:.3g})")
    if arguments.watched:
        sys.exit(f"worse: {', '.join(worse)}" if worse else 0)
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", choices=[*ENTRIES, []], help="of entries; all if none")
    parser.add_argument(
        "--list", action="store_true", help="names of entries, and nothing measured"
    )
    parser.add_argument("--watched", action="store_true", help="only entries with a usual ratio")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
