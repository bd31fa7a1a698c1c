"""Writes the golden of each named method that has none. Count it from the paper before you keep it.

python tests/golden/make_methods.py
"""

import json
from dataclasses import asdict
from pathlib import Path

from tfadv import methods
from tfadv.methods.card import sizes

FOLDER = Path(__file__).parent / "methods"
CHANNELS, OUTPUTS = 3, ("a", "b", "c", "d")


def main() -> None:
    for name, method in methods.all_methods().items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            found = sizes(method.configure().players(CHANNELS, OUTPUTS))
            path.write_text(json.dumps(asdict(found), indent=1) + "\n")
            print(path)


if __name__ == "__main__":
    main()
