"""What every program shares: flags of the form --hp.name=value, messages, errors in one line."""

import inspect
import logging
import math
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from absl import flags
from absl import logging as absl_logging
from tqdm import tqdm

from tfadv.programs import failures
from tfadv.programs.help import help_text
from tfadv.programs.main import GOES_ON
from tfrecords.errors import SettingError, UserError

# TensorFlow's start-up notices would bury what the programs say. Set before it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

HP_PREFIX = "--hp."
OURS = tuple(f"{Path(__file__).parents[2] / package}/" for package in ("tfadv", "tfrecords"))


def run(program: ModuleType, arguments: Sequence[str]) -> None:
    """Parses flags and calls the program's `main`, with the names if it takes any.

    A user's mistake ends with one message and exit status 1.
    """
    if {"-h", "--help"} & set(arguments):
        tell(help_text(program))
        return
    names = _parse(program.__name__.rpartition(".")[2], arguments)
    takes_names = bool(inspect.signature(program.main).parameters)
    if names and not takes_names:
        sys.exit(f"error: expected flags alone, received {names}")
    _speak_plainly()
    signal.signal(signal.SIGTERM, _end)
    try:
        program.main(*([names] if takes_names else []))
    except SettingError as error:
        sys.exit(as_entered(f"error: --{error.setting}: {error.reason}"))
    except UserError as error:
        sys.exit(as_entered(f"error: {error}"))
    except BrokenPipeError:
        raise
    except Exception as error:
        if text := failures.sentence(error):
            sys.exit(f"error: {text}")
        raise


def as_entered(text: str) -> str:
    """Spells "python launch/train.py" as "tfadv train" for a user who came through that door."""
    if sys.argv[0].endswith(".py"):
        return text
    return re.sub(r"(?:python )?launch/(\w+)\.py", r"tfadv \1", text)


def tell(text: str) -> None:
    """Prints what may name a program."""
    print(as_entered(text))


def comma_list(value: str | None) -> tuple[str, ...]:
    """ "0,1" as ("0", "1")."""
    return tuple(part for part in (value or "").split(",") if part)


def _parse(program: str, arguments: Sequence[str]) -> list[str]:
    """Sets absl's flags, and returns what is none; `--hp.name=value` becomes `--hp=name=value`."""
    if "hp" in flags.FLAGS:
        arguments = [
            f"--hp={argument.removeprefix(HP_PREFIX)}"
            if argument.startswith(HP_PREFIX)
            else argument
            for argument in arguments
        ]
    try:
        names = flags.FLAGS([sys.argv[0], *arguments])[1:]
    except flags.Error as error:
        see = as_entered(f"python launch/{program}.py --help")
        sys.exit(f"error: {_of_flags(error)} See {see}")
    for name, value in flags.FLAGS.flag_values_dict().items():
        # Which is within any bounds.
        if isinstance(value, float) and not math.isfinite(value):
            sys.exit(f"error: --{name}: expected a finite number, received {value}")
    return names


def _of_flags(error: flags.Error) -> str:
    """What absl says, as a sentence."""
    text = re.sub(
        r"flag --\w+=None: Flag (--\w+) must have a value other than None",
        r"\1: expected a value, received none",
        str(error).replace(" ?", "?").rstrip("."),
    )
    return text if text.endswith("?") else f"{text}."


def _speak_plainly() -> None:
    """Shows what the library logs as a program's own words."""
    absl_logging.set_verbosity(absl_logging.INFO)
    logger = absl_logging.get_absl_logger()
    logger.handlers = [_Plain()]
    logger.propagate = False


class _Plain(logging.Handler):
    """Our notices as they are on stdout; "warning: ..." and errors, anybody's, on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        text = as_entered(record.getMessage())
        with tqdm.external_write_mode():  # A progress bar makes way, and comes back below.
            if record.levelno >= logging.WARNING:
                print(f"{record.levelname.lower()}: {text}", file=sys.stderr, flush=True)
            # TensorFlow's, such as of export, mean nothing.
            elif record.pathname.startswith(OURS):
                print(text, flush=True)


def _end(number: int, frame: object) -> None:
    sys.exit(f"error: stopped by SIGTERM; {GOES_ON}")
