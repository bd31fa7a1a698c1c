"""Runs in processes of their own, as many at a time as there are devices."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from tfrecords.errors import UserError

LOG = "log.txt"
POLL_S = 0.5
LIFELINE = "TFADV_LIFELINE"  # The variable that numbers the pipe; see `leave_with_parent`.


def perform_all(
    commands: Mapping[Path, Sequence[str]],
    devices: Sequence[Mapping[str, str]],
    finished: Callable[[Path], object],
) -> dict[Path, str]:
    """Starts the command of each run, one at a time on each device; failures do not stop others.

    Whatever ends this ends its processes as well.

    Args:
        commands: by the run's folder, a program and its arguments. What it prints goes into a LOG
            there.
        devices: whole environments, each of which binds a process to a device.
        finished: told of every run that succeeded.

    Returns:
        Of each run that failed, the last line that it printed.
    """
    waiting, free = list(commands), list(devices)
    lifeline, held = os.pipe()
    running: dict[Path, tuple[subprocess.Popen[bytes], Mapping[str, str]]] = {}
    failures = {}
    try:
        with tqdm(desc="Runs", total=len(commands), unit="run", dynamic_ncols=True) as bar:
            while waiting or running:
                while waiting and free:
                    folder, device = waiting.pop(0), free.pop(0)
                    running[folder] = _start(commands[folder], folder, device, lifeline), device
                time.sleep(POLL_S)
                ended = [f for f, (process, _) in running.items() if process.poll() is not None]
                for folder in ended:
                    process, device = running.pop(folder)
                    free.append(device)
                    bar.update()
                    if process.returncode:
                        failures[folder] = last_line(folder / LOG)
                        bar.write(f"failed: {folder.name}: {failures[folder]}")
                    else:
                        finished(folder)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait()
        os.close(lifeline)
        os.close(held)
    return failures


def require_success(failures: Mapping[Path, str]) -> None:
    """Raises UserError where runs failed."""
    if failures:
        folder, words = next(iter(failures.items()))
        raise UserError(
            f"{len(failures)} runs failed; the same command tries them again. First: "
            f"{folder.name}: {words}"
        )


def leave_with_parent() -> None:
    """Ends this process when the one that started it is killed, so that it cannot train on.

    It has inherited one end of a pipe. The other end is the starter's alone, so reading returns
    when that is gone, whatever ended it. A process that `perform_all` did not start goes on.
    """
    number = os.environ.pop(LIFELINE, None)
    if number is None:
        return
    lifeline = int(number)
    os.set_inheritable(lifeline, False)

    def watch() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start(
    command: Sequence[str], folder: Path, device: Mapping[str, str], lifeline: int
) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        environment = {**device, LIFELINE: str(lifeline)}
        return subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, pass_fds=(lifeline,)
        )


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), f"no message in {log}")
