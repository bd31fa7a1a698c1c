"""Actions of other processes, done here by a call, to compare what is set once a process."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Action = Callable[[], object]


def offer(action: Action) -> None:
    """In the other process: does the action once for every line that it is sent, and says so."""
    print("ready", flush=True)
    for _ in sys.stdin:
        action()
        print("done", flush=True)


@contextmanager
def worker(command: Sequence[object]) -> Iterator[Action]:
    """The action that a program offers, which ends with this context.

    Raises:
        RuntimeError: it says something else, or ends.
    """
    words = [str(word) for word in command]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        given, said = process.stdin, process.stdout

        def expect(word: str) -> None:
            line = said.readline().strip()
            if line != word:
                raise RuntimeError(f"{' '.join(words)}: expected {word}, received {line!r}")

        def done() -> None:
            given.write("\n")
            given.flush()
            expect("done")

        expect("ready")
        yield done
