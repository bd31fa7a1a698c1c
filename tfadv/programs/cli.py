"""What every program shares: flags of the form --hp.name=value, and errors without tracebacks."""

import os
import sys
from collections.abc import Callable

from absl import app, flags, logging

from tfrecords.errors import UserError

# TensorFlow's start-up notices would bury what the programs say. Set before it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

HP_PREFIX = "--hp."


def run(main: Callable[[], None]) -> None:
    """Parses flags and runs `main`; a UserError ends with one message and exit status 1."""
    run_with_names(lambda _: main(), takes_names=False)


def run_with_names(main: Callable[[list[str]], None], *, takes_names: bool = True) -> None:
    """`run` for a program that also takes names without flags, which `main` receives."""

    def guarded(arguments: list[str]) -> None:
        if len(arguments) > 1 and not takes_names:
            sys.exit(f"error: expected flags alone, received {arguments[1:]}")
        try:
            logging.set_verbosity(logging.WARNING)
            main(arguments[1:])
        except (UserError, OSError) as error:  # Such as a full disk.
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("error: stopped by Ctrl-C; the same command goes on with what is missing")

    app.run(guarded, flags_parser=_parse)


def _parse(arguments: list[str]) -> list[str]:
    """absl's own flags; `--hp.name=value` becomes `--hp name=value` where the program has it."""
    if "hp" in flags.FLAGS:
        arguments = [
            f"--hp={argument.removeprefix(HP_PREFIX)}"
            if argument.startswith(HP_PREFIX)
            else argument
            for argument in arguments
        ]
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        sys.exit(f"error: {error}. See {arguments[0]} --help")


def comma_list(value: str | None) -> tuple[str, ...]:
    """ "0,1" as ("0", "1")."""
    return tuple(part for part in (value or "").split(",") if part)
