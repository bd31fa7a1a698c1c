"""TensorFlow's start without its notices, which would bury what a program says."""

import gc
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# What it says of every machine: that it has oneDNN, which instructions it was built without, that
# there is no GPU, that oneDNN transposes no integers. The last two are no errors on such machines.
NOTICES = re.compile(
    r"WARNING: All log messages before absl::InitializeLog\(\)"
    r"|I\d{4} "
    r"|To enable the following instructions:"
    r"|E\d{4} .*cuda_platform\.cc:\d+\] failed call to cuInit"
    r"|E\d{4} .*util\.cc:\d+\] oneDNN supports DT_INT32 only on platforms with AVX-512"
)

# Keras imports them where they are installed, for wrappers and galleries that no program uses: a
# quarter of the start.
UNUSED = ("sklearn", "matplotlib")


def start_tensorflow(prepare: Callable[[], Any] = lambda: None) -> Any:
    """Imports TensorFlow and finds its devices; of what that says, errors and warnings remain.

    Args:
        prepare: called between the two; what it gives is returned.
    """
    with _without_notices(), _without_unused(), _without_collection():
        import tensorflow as tf  # noqa: PLC0415
    prepared = prepare()
    with _without_notices():
        tf.config.list_logical_devices()
        # What it says once, of the first: now rather than among a program's own lines.
        tf.transpose(tf.zeros((1, 1), tf.int32))
    return prepared


@contextmanager
def _without_collection() -> Iterator[None]:
    """Imports make 400,000 objects that stay: to look through them is a sixth of their time.

    Neither then nor later: what they leave is garbage to no collection after them.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _without_unused() -> Iterator[None]:
    """Hides UNUSED from imports; what is imported already stays."""
    hidden = [name for name in UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


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
