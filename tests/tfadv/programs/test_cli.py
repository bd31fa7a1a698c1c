"""How a program speaks: its library's notices, warnings and errors."""

import subprocess
import sys

import pytest
import tensorboard

import tfadv

PROGRAM = """
import errno, os, signal, sys, types
from absl import flags, logging
from tfadv.programs import cli
from tfrecords.errors import SettingError, UserError

sys.argv = [{door!r}]
flags.DEFINE_multi_string("hp", [], "Hyperparameters.")
flags.DEFINE_float("minutes", 1, "How long.", 0.5)

def main():
    exec(compile({body!r}, {place!r}, "exec"))

program = types.ModuleType("tfadv.programs.fake", "Nothing.")
program.main = main
cli.run(program, {arguments!r})
"""


def run(
    body: str, *arguments: str, door: str = "launch/fake.py", place: str = tfadv.__file__
) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a program whose main consists of `body`, from a file."""
    code = PROGRAM.format(body=body, door=door, arguments=arguments, place=place)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return result.returncode, result.stdout, result.stderr


def test_notices_are_plain_and_warnings_go_to_stderr() -> None:
    body = "logging.info('%d of %d', 1, 2); logging.warning('too %s', 'old'); logging.debug('no')"
    assert run(body) == (0, "1 of 2\n", "warning: too old\n")


def test_of_other_libraries_only_warnings_are_shown() -> None:
    body = "logging.info('sharding took 36 us'); logging.warning('too old')"
    assert run(body, place=tensorboard.__file__) == (0, "", "warning: too old\n")


def test_a_progress_bar_makes_way_for_a_message() -> None:
    body = """
from tqdm import tqdm
with tqdm(total=2, desc="Working", mininterval=0) as bar:
    bar.update()
    logging.warning("too old")
"""
    _, _, stderr = run(body)
    assert "warning: too old" in stderr.splitlines()
    assert stderr.count("| 1/2 ") >= 2


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        ("UserError('folds: expected two')", "folds: expected two"),
        ("SettingError('hp.width', 'expected at least 1')", "--hp.width: expected at least 1"),
        ("OSError(errno.EACCES, 'Permission denied', 'a/b')", "a/b: Permission denied"),
        (
            "OSError(errno.ENOSPC, 'No space left on device')",
            "a file could not be read or written: No space left on device; make room, and the same "
            "command goes on with what is missing",
        ),
        (
            "OSError(errno.EDQUOT, 'Disk quota exceeded', 'a/b')",
            "a/b: Disk quota exceeded; make room, and the same command goes on with what is "
            "missing",
        ),
        ("OSError('Unable to open file')", "Unable to open file"),
    ],
)
def test_what_a_user_can_mend_is_one_line(raised: str, line: str) -> None:
    assert run(f"raise {raised}") == (1, "", f"error: {line}\n")


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    status, _, stderr = run("raise KeyError('x')")
    assert status == 1
    assert stderr.startswith("Traceback")


def test_sigterm_is_one_line() -> None:
    body = "os.kill(os.getpid(), signal.SIGTERM)"
    line = "error: stopped by SIGTERM; the same command goes on with what is missing\n"
    assert run(body) == (1, "", line)


@pytest.mark.parametrize(
    ("door", "named"), [("launch/fake.py", "python launch/train.py"), ("/bin/tfadv", "tfadv train")]
)
def test_programs_are_named_by_the_door_that_the_user_came_through(door: str, named: str) -> None:
    text = "python launch/train.py"
    body = f"cli.tell('Next: {text} --hp.x'); logging.info('{text}'); raise UserError('Run {text}')"
    expected = (1, f"Next: {named} --hp.x\n{named}\n", f"error: Run {named}\n")
    assert run(body, door=door) == expected


def test_hyperparameters_are_flags_with_a_name_of_their_own() -> None:
    body = "print(flags.FLAGS.hp)"
    arguments = ("--hp.width=3", "--hp", "mirror=false", "--hp.shift=1=2")
    assert run(body, *arguments) == (0, "['width=3', 'mirror=false', 'shift=1=2']\n", "")


@pytest.mark.parametrize("value", ["nan", "inf", "1e999"])
def test_a_number_that_is_not_finite_is_within_no_bounds(value: str) -> None:
    line = f"error: --minutes: expected a finite number, received {float(value)}\n"
    assert run("", f"--minutes={value}") == (1, "", line)
