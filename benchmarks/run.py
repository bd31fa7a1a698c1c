"""Measures what this repository does, as ratios within one run, and says which goals are missed.

python benchmarks/run.py                          # all of it
python benchmarks/run.py --list
python benchmarks/run.py predict_over_network     # one line

The exit status is 1 if a goal is missed. A further topic is one more file of entries here.
"""

import argparse
import sys

import inference
import reading
import training
from measuring import HEADER, Entry, measure

TOPICS = (inference, reading, training)
ENTRIES = {
    value.name: value for topic in TOPICS for value in vars(topic).values() if type(value) is Entry
}


def main() -> None:
    arguments = _arguments()
    chosen = [ENTRIES[name] for name in arguments.name or ENTRIES]
    if arguments.list:
        print("\n".join(f"{entry.name}: {entry.what}" for entry in chosen))
        return
    print(HEADER)
    missed = []
    for entry in chosen:
        result = measure(entry, arguments.rounds)
        print(result, flush=True)
        if not result.met:
            missed.append(entry.name)
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", choices=[*ENTRIES, []], help="of entries; all if none")
    parser.add_argument(
        "--list", action="store_true", help="names of entries, and nothing measured"
    )
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
