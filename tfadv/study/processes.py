"""A study's trials in processes of their own, as many at a time as there are devices."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from tfadv.study.plan import Trial, trial_folder

LOG = "log.txt"
POLL_S = 0.5
LIFELINE = "TFADV_LIFELINE"  # The variable that numbers the pipe; see `leave_with_parent`.


def perform_all(
    commands: Mapping[Trial, Sequence[str]],
    folder: Path,
    devices: Sequence[Mapping[str, str]],
    finished: Callable[[Trial], None],
) -> dict[Trial, str]:
    """Starts the command of each trial, one at a time on each device; failures do not stop others.

    Whatever ends this ends its processes as well.

    Args:
        commands: of each trial, a program and its arguments. What it prints goes into its LOG.
        devices: whole environments, each of which binds a process to a device.
        finished: told of every trial that succeeded.

    Returns:
        Of each trial that failed, the last line that it printed.
    """
    waiting, free = list(commands), list(devices)
    lifeline, held = os.pipe()
    running: dict[Trial, tuple[subprocess.Popen[bytes], Mapping[str, str]]] = {}
    failures = {}
    try:
        with tqdm(desc="Runs", total=len(commands), unit="run", dynamic_ncols=True) as bar:
            while waiting or running:
                while waiting and free:
                    trial, device = waiting.pop(0), free.pop(0)
                    place = trial_folder(folder, trial)
                    running[trial] = _start(commands[trial], place, device, lifeline), device
                time.sleep(POLL_S)
                ended = [t for t, (process, _) in running.items() if process.poll() is not None]
                for trial in ended:
                    process, device = running.pop(trial)
                    free.append(device)
                    bar.update()
                    if process.returncode:
                        failures[trial] = _last_line(trial_folder(folder, trial) / LOG)
                        bar.write(f"failed: {trial.name}: {failures[trial]}")
                    else:
                        finished(trial)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait()
        os.close(lifeline)
        os.close(held)
    return failures


def leave_with_parent() -> None:
    """Ends this process when the study that started it is killed, so that it cannot train on.

    Its processes inherit one end of a pipe. The other end is the study's alone, so reading returns
    when the study is gone, whatever ended it. A process that no study started goes on.
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


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), f"no message in {log}")
