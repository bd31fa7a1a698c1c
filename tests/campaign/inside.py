"""A process that has imported TensorFlow and tries one thing after another, so that each costs
milliseconds. It is started anew after it died or hung."""

import multiprocessing
import os
import re
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

from tests.campaign.outcome import LIMIT_S, Outcome, Result
from tfadv.programs.failures import sentence
from tfrecords.errors import UserError

Door = Callable[..., str]  # Does it, and gives a digest of what it made.


class Inside:
    """Calls doors in a process of its own."""

    def __init__(self) -> None:
        self._process: Any = None
        self._connection: Any = None
        self._lock = threading.Lock()  # Trials run in several threads.
        self._digests: dict[tuple[object, ...], str] = {}

    def tried(self, door: Door, *arguments: object, expected: str) -> Result:
        """The outcome of calling `door`; harmless where it gives the digest that is expected."""
        kind, text = self._called(door, arguments)
        if kind == "digest":
            return Result(Outcome.HARMLESS if text == expected else Outcome.SILENT, text)
        return Result(Outcome(kind), text)

    def digest(self, door: Door, *arguments: object) -> str:
        """What the undamaged gives, asked for once."""
        asked = (door, *arguments)
        if asked not in self._digests:
            kind, text = self._called(door, arguments)
            assert kind == "digest", text
            self._digests[asked] = text
        return self._digests[asked]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _called(self, door: Door, arguments: tuple[object, ...]) -> tuple[str, str]:
        with self._lock:
            return self._answer(door, arguments)

    def _answer(self, door: Door, arguments: tuple[object, ...]) -> tuple[str, str]:
        if self._process is None or not self._process.is_alive():
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,))
            self._process.start()
            theirs.close()
        self._connection.send((door, arguments))
        if not self._connection.poll(LIMIT_S):
            self.close()
            return "hang", ""
        try:
            kind, text = self._connection.recv()
        except EOFError:
            self._process.join()
            status = self._process.exitcode
            self._process = None
            return "crash", f"status {status}"
        return kind, text


def _refusal(error: Exception) -> str:
    """What an exported graph, or TensorFlow for its signature, says to a client."""
    found = re.search(r"(?:assertion failed: |Binding inputs .* due to )(.*)", str(error))
    return found[1] if found else ""


def _serve(connection: Connection) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # Its answers come by the connection.
        os.dup2(nowhere, stream)
    while True:
        door, arguments = connection.recv()
        try:
            answer = ("digest", door(*arguments))
        except UserError as error:
            answer = ("refused", str(error))
        # Whatever else is raised is an outcome: what a user would see as a traceback.
        except Exception as error:
            text = sentence(error) or _refusal(error)
            answer = ("refused", text) if text else ("traceback", traceback.format_exc())
        connection.send(answer)
