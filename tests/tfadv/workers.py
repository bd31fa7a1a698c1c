"""Starts processes that train one run together: over loopback, the network of this machine."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tfadv.training.nodes import VARIABLE

ROOT = Path(__file__).parents[2]
LIMIT_S = 600


def start(command: Sequence[object], environment: dict[str, str]) -> "subprocess.Popen[str]":
    """A Python program with its arguments."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        # As many threads an operation as in the tests' own process: sums differ by them.
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_NUM_INTRAOP_THREADS": "1",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def two_workers(command: Sequence[object]) -> list["subprocess.Popen[str]"]:
    """The same command on two nodes; the chief is the first."""
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{free.getsockname()[1]}" for free in (one, other)]
    cluster = {"worker": addresses}
    return [
        start(
            command,
            {VARIABLE: json.dumps({"cluster": cluster, "task": {"type": "worker", "index": n}})},
        )
        for n in range(2)
    ]


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    return process.returncode, out, err


def end_well(processes: Sequence["subprocess.Popen[str]"]) -> None:
    """Waits for all of them, of which none may fail."""
    for status, _, error in [ended(process) for process in processes]:
        assert status == 0, error
