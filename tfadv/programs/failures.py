"""What the machine refuses while a program runs, as a sentence: full disks, files, memory."""

import errno
import os
import re
import sys

from tfadv.programs.main import GOES_ON

FULL = (errno.ENOSPC, errno.EDQUOT)  # The disk, or a user's share of it.
# TensorFlow's messages begin with the operation, and may end with it.
_NODE = re.compile(r"\{\{[^}]*\}\}\s*|\s*\[Op:\w+\].*", re.DOTALL)
_FILE = re.compile(r"([^;]*/[^;]*); ([A-Z][\w ]+)")


def sentence(error: Exception) -> str:
    """What failed and what to do, in a line; empty where it is none of the machine's refusals."""
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, MemoryError):
        return f"out of memory ({error}); use smaller batches or fewer workers, and {GOES_ON}"
    # Where TensorFlow was not imported, none of its errors can be here.
    errors = getattr(sys.modules.get("tensorflow"), "errors", None)
    return _of_tensorflow(error) if errors and isinstance(error, errors.OpError) else ""


def _of_system(error: OSError) -> str:
    """What an OSError says, such as "[Errno 28] No space left on device", in words."""
    if error.strerror is None:
        return str(error)
    where = f"{error.filename}: " if error.filename else "a file could not be read or written: "
    room = f"; make room, and {GOES_ON}" if error.errno in FULL else ""
    return f"{where}{error.strerror}{room}"


def _of_tensorflow(error: Exception) -> str:
    """TensorFlow raises its own errors for files and memory, which are no OSErrors."""
    text = _NODE.sub("", str(error)).partition("\n")[0].strip()
    if of_file := _FILE.fullmatch(text):
        path, reason = of_file.groups()
        room = f"; make room, and {GOES_ON}" if reason == os.strerror(errno.ENOSPC) else ""
        return f"{path}: {reason}{room}"
    if type(error).__name__ == "ResourceExhaustedError":
        return f"out of memory ({text}); give a smaller --hp.batch_size or --hp.width"
    return ""
