"""Programs in processes that begin with TensorFlow imported.

To import it takes longer than most of what tests ask of a program.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

LIMIT_S = 300
FROM_IMPORTED = multiprocessing.get_context("forkserver")
# Nothing of tfadv, and no operation: whoever makes one has threads, which a fork would lose.
FROM_IMPORTED.set_forkserver_preload(["keras", "pandas", "scipy.ndimage", "nibabel", "tqdm"])


def run(
    script: Path, arguments: Sequence[object], cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """What `python script arguments...` does in a process of its own, and how it ends.

    Raises:
        TimeoutError: after LIMIT_S.
    """
    command = [str(script), *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("out", "err")]
        process = FROM_IMPORTED.Process(
            target=_as_main, args=(command, cwd or Path.cwd(), dict(os.environ), streams)
        )
        process.start()
        process.join(LIMIT_S)
        status = process.exitcode
        if status is None:
            process.kill()
            process.join()
            raise TimeoutError(f"{command}: still runs after {LIMIT_S} s")
        out, err = (stream.read_text() for stream in streams)
    return subprocess.CompletedProcess(command, status, out, err)


def _as_main(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str], streams: Sequence[Path]
) -> None:
    for descriptor, stream in enumerate(streams, start=1):
        opened = os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(command)
    named = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = [str(Path(command[0]).parent), *named]
    runpy.run_path(command[0], run_name="__main__")
