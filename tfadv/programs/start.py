"""TensorFlow's start without its notices, which would bury what a program says."""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# What it says of every machine: that it has oneDNN, which instructions it was built without, that
# there is no GPU. Only the last is an error, and none where there is none.
NOTICES = re.compile(
    r"WARNING: All log messages before absl::InitializeLog\(\)"
    r"|I\d{4} "
    r"|To enable the following instructions:"
    r"|E\d{4} .*cuda_platform\.cc:\d+\] failed call to cuInit"
)


def start_tensorflow(prepare: Callable[[], Any] = lambda: None) -> Any:
    """Imports TensorFlow and finds its devices; of what that says, errors and warnings remain.

    Args:
        prepare: called between the two; what it gives is returned.
    """
    with _without_notices():
        import tensorflow as tf  # noqa: PLC0415
    prepared = prepare()
    with _without_notices():
        tf.config.list_logical_devices()
    return prepared


@contextmanager
def _without_notices() -> Iterator[None]:
    """Holds the process' stderr, and gives back the lines that are no NOTICES.

    TensorFlow writes to the file descriptor, past `sys.stderr`.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines(keepends=True):
                if not NOTICES.match(line):
                    sys.stderr.write(line)
