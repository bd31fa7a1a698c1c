"""`runners.parallel_map` on the workers of a Dask scheduler, wherever these run.

driver ──► scheduler ──► workers, one item each ──► results, and shards on the shared file system

The contract is a POSIX file system that driver and workers share, and one version of this code.
Both are proved before anything is done, and who does not hold it is named.
"""

import importlib.metadata
import os
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from tfrecords.errors import SettingError, UserError
from tfrecords.files import file_checksum

Item = TypeVar("Item")
Result = TypeVar("Result")
ANSWER_S = 10  # For which a scheduler is waited for.
GOES_ON = "What is finished is kept; the same command goes on"


class Cluster:
    """The workers of a scheduler; made by `connected`."""

    def __init__(self, client: Any, address: str) -> None:
        self.client = client
        self.address = address

    @property
    def workers(self) -> dict[str, dict[str, Any]]:
        """What the scheduler knows of each, by address."""
        found: dict[str, dict[str, Any]] = self.client.scheduler_info(n_workers=-1)["workers"]
        return found

    def require(self, sources: Sequence[Path], folder: Path) -> None:
        """Every worker proves that it runs this code, sees the sources and writes to the folder.

        Raises:
            SettingError: names the workers that do not.
        """
        token = uuid.uuid4().hex
        if not self.workers:
            raise self._wrong("expected a scheduler with workers, received one without any")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingError("out_dir", f"expected a folder to write to ({error})") from error
        # A folder of a DICOM series is no file; that it is there is enough.
        sizes = {str(path.absolute()): path.stat().st_size for path in sources}
        answers = self.client.run(
            _prove, code(), sizes, str(folder.absolute()), token, on_error="return"
        )
        faults = {}
        for worker, answer in answers.items():
            proof = folder / _proof(token, worker)
            if isinstance(answer, Exception):
                # It has no such function: an older version, or none at all.
                faults[worker] = f"has another version of tfadv, or none ({answer})"
            elif answer:
                faults[worker] = answer
            elif not proof.is_file() or proof.read_text() != token:
                faults[worker] = f"does not share {folder}: what it writes there is not here"
            proof.unlink(missing_ok=True)
        for worker, known in self.workers.items():
            if known["nthreads"] != 1:
                # Items are whole parts of a record set, which one process should hold alone.
                faults.setdefault(worker, f"has {known['nthreads']} threads: start it with one")
        if faults:
            raise self._wrong("; ".join(f"{name} {fault}" for name, fault in faults.items()))

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        description: str,
        *,
        named: Callable[[Item], str] = str,
        lost: Callable[[Item, str], Result] | None = None,
        **how: Any,
    ) -> Generator[tuple[int, Result], None, None]:
        """As `runners.parallel_map`: (index of the item, result) as results arrive.

        An item whose worker dies is tried on others, as often as the scheduler allows.

        Args:
            how: of `Client.submit`, such as resources.

        Raises:
            UserError: a worker raised it, too many died of one item, or the scheduler is gone.
        """
        from distributed import as_completed  # noqa: PLC0415
        from distributed.scheduler import KilledWorker  # noqa: PLC0415

        waiting = iter(range(len(items)))
        indices = {}

        def submitted(number: int) -> list[Any]:
            found = []
            for index in islice(waiting, number):
                here = os.getcwd()
                future = self.client.submit(
                    _in_folder, here, function, items[index], pure=False, **how
                )
                indices[future.key] = index
                found.append(future)
            return found

        # One more for each worker, so that none waits; no more, so that memory stays bounded.
        first = submitted(2 * max(1, len(self.workers)))
        running = as_completed(first, loop=self.client.loop)
        with tqdm(total=len(items), desc=description, unit="item", dynamic_ncols=True) as bar:
            for future in running:
                index = indices.pop(future.key)
                try:
                    result = future.result()
                except KilledWorker as error:
                    if lost is None:
                        raise UserError(
                            f"{description}: {named(items[index])}: {error.last_worker.address} "
                            f"and others before it ended over it. {GOES_ON}"
                        ) from error
                    result = lost(items[index], "the end of several workers")
                except (CancelledError, OSError) as error:
                    if future.status == "error":  # The function's own, such as of a full disk.
                        raise
                    raise UserError(
                        f"{self.address}: the scheduler is gone ({type(error).__name__}). {GOES_ON}"
                    ) from error
                except MemoryError as error:
                    raise UserError(
                        f"{description}: {named(items[index])}: not enough memory ({error}). Give "
                        "workers more"
                    ) from error
                for following in submitted(1):
                    running.add(following)
                del future
                yield index, result
                bar.update()

    def _wrong(self, reason: str) -> SettingError:
        return SettingError("cluster", f"{self.address}: {reason}")


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster of the scheduler at an address such as tcp://host:8786.

    Raises:
        SettingError: Dask is not installed, or nobody answers there.
    """
    try:
        from distributed import Client  # noqa: PLC0415
    except ImportError as error:
        raise SettingError(
            "cluster",
            "expected the package distributed, received none. Install it here and where the "
            "workers are: pip install -r requirements-cluster.txt",
        ) from error
    try:
        client = Client(address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SettingError(
            "cluster",
            f"expected the address of a Dask scheduler, such as tcp://host:8786, which answers "
            f"within {ANSWER_S} s, received {address} ({error})",
        ) from error
    with client:
        yield Cluster(client, address)


def code() -> str:
    """Of this version: its number and what its files hold."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return f"{importlib.metadata.version('tfadv')} {file_checksum(*files)[:16]}"


def _in_folder(folder: str, function: Callable[[Item], Result], item: Item) -> Result:
    """Calls the function where the driver runs, so that its relative paths are the same files."""
    os.chdir(folder)
    return function(item)


def _prove(
    wanted: str, sizes: dict[str, int], folder: str, token: str, dask_worker: Any = None
) -> str:
    """What keeps the worker in which this runs from taking part; nothing if it may."""
    if code() != wanted:
        return f"has tfadv {code()}, expected {wanted}"
    for path, size in sizes.items():
        try:
            if (found := os.stat(path).st_size) != size:
                return f"sees {path} with {found} bytes, expected {size}"
        except OSError as error:
            return f"does not see the sources: {error}"
    try:
        Path(folder, _proof(token, dask_worker.address)).write_text(token)
    except OSError as error:
        return f"cannot write to the record set: {error}"
    return ""


def _proof(token: str, worker: str) -> str:
    """The file that a worker writes, hidden, of its own name."""
    return f".{token}-{''.join(c if c.isalnum() else '_' for c in worker)}"
