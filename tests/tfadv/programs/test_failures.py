"""Refusals of the machine, raised by the machine itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from tfadv.programs.failures import sentence

FULL = Path("/dev/full")  # Where every write finds no room.


def raised(function: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of any type.
        function()
    return caught.value


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_told_alike_by_python_and_tensorflow() -> None:
    ends = "No space left on device; make room, and the same command goes on with what is missing"

    def by_tensorflow() -> None:
        with tf.io.TFRecordWriter(str(FULL)) as writer:
            writer.write(b"x" * 2**20)

    assert sentence(raised(by_tensorflow)) == f"{FULL}: {ends}"
    assert sentence(raised(lambda: FULL.write_bytes(b"x"))).endswith(ends)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "absent"
    for read in (path.read_bytes, lambda: tf.io.read_file(str(path))):
        assert sentence(raised(read)) == f"{path}: No such file or directory"


def test_lack_of_memory_says_what_to_make_smaller() -> None:
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor [Op:Conv2D]")
    assert sentence(error) == (
        "out of memory (OOM when allocating tensor); give a smaller --hp.batch_size or --hp.width"
    )
    assert sentence(MemoryError("2 GiB")).startswith("out of memory (2 GiB)")


def test_a_fault_of_ours_has_no_sentence() -> None:
    assert not sentence(raised(lambda: tf.reshape(tf.zeros([3]), [2, 2])))
    assert not sentence(KeyError("x"))
