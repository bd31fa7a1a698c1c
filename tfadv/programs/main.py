"""The door to all programs: `tfadv PROGRAM --flag=value ...`."""

import ast
import importlib
import os
import sys
from pathlib import Path

# In the order in which a user meets them; the files beside this one.
NAMES = (
    "preprocess",
    "plan",
    "train",
    "evaluate",
    "export",
    "predict",
    "compare",
    "robustness",
    "judge",
    "measure",
    "methods",
    "experiment",
)
LOG_INTERVAL_S = "30"
GOES_ON = "the same command goes on with what is missing"


def main(program: str | None = None) -> None:
    """Runs the program called `program`, or named by the command line's first argument."""
    try:
        arguments = sys.argv[1:]
        if program is None:
            if not arguments or arguments[0] in ("-h", "--help"):
                print(overview())
                return
            program, *arguments = arguments
        if program not in NAMES:
            sys.exit(f"error: expected one of {', '.join(NAMES)}, received {program}")
        _run(program, arguments)
        print(end="", flush=True)
    except BrokenPipeError:  # Whoever read what is printed has read enough, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(f"error: stopped by Ctrl-C; {GOES_ON}")


def _run(program: str, arguments: list[str]) -> None:
    if not sys.stderr.isatty():  # In a log, every state of a progress bar stays.
        for interval in ("TQDM_MININTERVAL", "TQDM_MAXINTERVAL"):
            os.environ.setdefault(interval, LOG_INTERVAL_S)
    # Imported here, so that Ctrl-C meanwhile ends in one line as well.
    from tfadv.programs import cli  # noqa: PLC0415

    cli.run(importlib.import_module(f"tfadv.programs.{program}"), arguments)


def overview() -> str:
    """What every program does, in a line each."""
    lines = (f"    {name:12}{_summary(name)}" for name in NAMES)
    return "\n".join(
        ("tfadv PROGRAM --flag=value ...", "", *lines, "", "tfadv PROGRAM --help lists its flags.")
    )


def _summary(program: str) -> str:
    """The first line of a program's docstring, read: imported, programs would share their flags."""
    path = Path(__file__).with_name(f"{program}.py")
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
