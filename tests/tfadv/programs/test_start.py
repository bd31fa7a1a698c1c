"""What TensorFlow says at its start, and what of it is given back."""

import subprocess
import sys

NOTICES = """WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1.2 3 port.cc:153] oneDNN custom operations are on.
To enable the following instructions: AVX2, in other operations, rebuild TensorFlow.
E0000 00:00:1.2 3 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: (303)
E0000 00:00:1.2 3 util.cc:131] oneDNN supports DT_INT32 only on platforms with AVX-512.
"""
ERROR = "E0000 00:00:1.2 3 cuda_dnn.cc:4] cuDNN could not be loaded\n"


def stderr_of(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stderr


def test_nothing_is_said_of_a_healthy_start() -> None:
    start = "from tfadv.programs.start import start_tensorflow; start_tensorflow()"
    then = "import tensorflow as tf; print(tf.constant(1) + 1)"
    assert stderr_of(f"{start}; {then}") == ""


def test_nothing_is_said_of_the_first_transposed_integers() -> None:
    start = "from tfadv.programs.start import start_tensorflow; start_tensorflow()"
    transposed = (
        "tf.function(lambda x: tf.transpose(x), autograph=False)(tf.zeros((2, 3), tf.int32))"
    )
    assert stderr_of(f"{start}; import tensorflow as tf; {transposed}") == ""


def test_what_keras_does_not_need_can_still_be_imported() -> None:
    code = """
import sys
from tfadv.programs.start import start_tensorflow
start_tensorflow()
assert not {"sklearn", "matplotlib"} & set(sys.modules)
import matplotlib.pyplot, sklearn.base, keras
"""
    assert stderr_of(code) == ""


def test_what_imports_leave_is_in_no_collection() -> None:
    code = """
import gc
from tfadv.programs.start import start_tensorflow
start_tensorflow()
assert gc.isenabled()
assert gc.get_freeze_count() > 10 * len(gc.get_objects())
"""
    assert stderr_of(code) == ""


def test_errors_are_given_back_in_their_order() -> None:
    code = f"""
import os, sys
from tfadv.programs.start import _without_notices
print("before", file=sys.stderr)
with _without_notices():
    os.write(2, {NOTICES + ERROR!r}.encode())
    print("a warning", file=sys.stderr)
print("after", file=sys.stderr)
"""
    assert stderr_of(code) == f"before\n{ERROR}a warning\nafter\n"


def test_an_error_inside_is_seen_with_what_was_said_before_it() -> None:
    code = """
import os
from tfadv.programs.start import _without_notices
try:
    with _without_notices():
        os.write(2, b"said\\n")
        raise ValueError
except ValueError:
    os.write(2, b"raised\\n")
"""
    assert stderr_of(code) == "said\nraised\n"
