"""Running one function over many items in worker processes, with a progress bar."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]
from typing import Any, Generic, Protocol, TypeVar

from absl import logging
from tqdm import tqdm

from tfrecords.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Mapper(Protocol):
    """What does a function of many items somewhere: `processes`, or `cluster.Cluster.map`."""

    def __call__(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        description: str,
        *,
        named: Callable[[Item], str] = str,
        lost: Callable[[Item, str], Result] | None = None,
    ) -> Generator[tuple[int, Result], None, None]:
        """As `parallel_map`."""


def processes(workers: int) -> Mapper:
    """By so many processes of this machine."""

    def mapped(
        function: Callable[[Item], Result],
        items: Sequence[Item],
        description: str,
        *,
        named: Callable[[Item], str] = str,
        lost: Callable[[Item, str], Result] | None = None,
    ) -> Generator[tuple[int, Result], None, None]:
        return parallel_map(function, items, workers, description, named=named, lost=lost)

    return mapped


# Spawned workers start with nothing of this process's memory, unlike forked ones.
CONTEXT = multiprocessing.get_context("spawn")


def parallel_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    description: str,
    *,
    named: Callable[[Item], str] = str,
    lost: Callable[[Item, str], Result] | None = None,
) -> Generator[tuple[int, Result], None, None]:
    """Yields (index of the item, result) as results arrive, in any order.

    Memory stays bounded because a worker takes a next item only when it has finished one. It works
    while the caller uses what it has found; the bar tells of what the caller is done with. An item
    whose worker dies is tried again when all others are done, alone in a fresh process: what dies
    for lack of memory beside others then succeeds.

    Args:
        named: an item's name in messages.
        lost: the result of an item that ends its process again, from what ended it, such as
            "SIGSEGV". Without it, such an item is an error.

    Raises:
        UserError: a worker raised it, lacked memory, or died alone.
    """
    waiting, again = deque(range(len(items))), list[int]()
    pool: list[_Worker[Item, Result]] = []
    try:
        with tqdm(total=len(items), desc=description, unit="item", dynamic_ncols=True) as bar:
            while waiting or any(worker.busy for worker in pool):
                while waiting and len(pool) < workers:
                    pool.append(_Worker(function))
                for worker in pool:
                    if waiting and not worker.busy:
                        worker.start(waiting.popleft(), items)
                for worker in _ready(pool):
                    index, result = worker.finish()
                    if worker.died:
                        pool.remove(worker)
                        again.append(index)
                        logging.warning(
                            "%s: %s: its process was ended by %s; it is tried again alone",
                            description,
                            named(items[index]),
                            worker.died,
                        )
                        continue
                    if waiting:
                        worker.start(waiting.popleft(), items)
                    yield index, result
                    bar.update()
            _close(pool)
            for index in again:
                pool = [_Worker(function)]
                pool[0].start(index, items)
                _, result = pool[0].finish()
                if died := pool[0].died:
                    if lost is None:
                        raise UserError(
                            f"{description}: {named(items[index])}: its process was ended by "
                            f"{died}, and again when it was alone. What is finished is kept"
                        )
                    result = lost(items[index], died)
                _close(pool)
                yield index, result
                bar.update()
    finally:
        _close(pool)


class _Worker(Generic[Item, Result]):
    """A process that holds one item at a time.

    Attributes:
        busy: whether it holds one.
        died: what ended it, such as "SIGSEGV"; empty of one that lives.
    """

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self.connection, theirs = CONTEXT.Pipe()
        self.busy, self.died = False, ""
        self._index = -1
        self.process = CONTEXT.Process(target=_work, args=(theirs, function))
        with _interrupts_held():
            self.process.start()
        theirs.close()  # So that the end of the process is the end of the connection.

    def start(self, index: int, items: Sequence[Item]) -> None:
        self.busy, self._index = True, index
        with suppress(OSError):  # It has died, which `finish` will see.
            self.connection.send(items[index])

    def finish(self) -> tuple[int, Any]:
        """The item's index and its result, once there is one. Raises what the function raised."""
        try:
            succeeded, result = self.connection.recv()
        except (EOFError, OSError):
            self.connection.close()
            self.process.join()
            self.busy, self.died = False, _end_of(self.process.exitcode or 0)
            return self._index, None
        self.busy = False
        if not succeeded:
            raise result
        return self._index, result


def _ready(pool: Sequence[_Worker[Item, Result]]) -> list[_Worker[Item, Result]]:
    """Those of the busy ones that have finished or died; waits for one."""
    ready = wait([worker.connection for worker in pool if worker.busy])
    return [worker for worker in pool if worker.connection in ready]


def _close(pool: Sequence[_Worker[Item, Result]]) -> None:
    """Lets workers finish the item at hand and end."""
    for worker in pool:
        worker.connection.close()
    for worker in pool:
        worker.process.join()


def _end_of(exitcode: int) -> str:
    """What ended a process."""
    if exitcode >= 0:
        return f"exit status {exitcode}"
    name = signal.Signals(-exitcode).name
    # The kernel sends it where memory is short, and hardly anybody else does.
    return f"{name}, probably for lack of memory" if name == "SIGKILL" else name


def _work(connection: Connection, function: Callable[[Item], Result]) -> None:
    """What a worker does until its parent closes the connection."""
    _leave_with_parent()
    outcome: tuple[bool, object]
    with suppress(EOFError, ConnectionError):
        while True:
            item = connection.recv()
            try:
                outcome = True, function(item)
            except MemoryError as error:
                message = f"not enough memory ({error}). Run the same command with fewer --workers"
                outcome = False, UserError(message)
            except Exception as error:
                outcome = False, ExceptionWithTraceback(error, error.__traceback__)
            connection.send(outcome)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Holds Ctrl-C back while workers start: they inherit that, and from their first instruction on
    leave the decision to the parent, which lets them finish the item at hand."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_with_parent() -> None:
    """Ends this worker when its parent is killed, so that it cannot write beside a rerun."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
