"""Running one function over many items in worker processes, with a progress bar."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from tfrecords.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, description: str
) -> Iterator[tuple[int, Result]]:
    """Yields (index of the item, result) as results arrive, in any order.

    Memory stays bounded because a worker takes a next item only when it has finished one.

    Raises:
        UserError: a worker raised it, or was killed.
    """
    # Spawned workers start with nothing of this process's memory, unlike forked ones.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_with_parent)
    try:
        with _interrupts_held():
            futures = {pool.submit(function, item): index for index, item in enumerate(items)}
        finished = as_completed(futures)
        for future in tqdm(finished, description, len(items), unit="item", dynamic_ncols=True):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            f"{description}: a worker process was killed, probably for lack of memory. Run the "
            "same command with fewer --workers: what is finished is kept"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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


def free_memory() -> int | None:
    """Bytes that processes can still take without swapping; None where Linux does not say."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == "MemAvailable":
                return int(value.split()[0]) * 1024  # It says kB, and means KiB.
    return None
