"""What `--help` prints: a program's docstring and its own flags."""

import textwrap
from types import ModuleType
from typing import Any

from absl import flags

WIDTH = 88
# What absl adds to flags that may be given again.
REPEATABLE = ";\n    repeat this option to specify a list of values"


def help_text(program: ModuleType) -> str:
    """The docstring of a program, and a paragraph for each of its flags."""
    own = flags.FLAGS.get_flags_for_module(program)
    return "\n".join(((program.__doc__ or "").rstrip(), "", "Flags:", *map(_paragraph, own)))


def _paragraph(flag: "flags.Flag[Any]") -> str:
    """Name, what it is for, and the default in brackets, unless the text says it in words."""
    text = (flag.help or "").removesuffix(REPEATABLE)
    if not text.endswith("]"):
        default = (flag.default_as_str or "none").strip("'")
        text += f" [{default}]"
    return textwrap.fill(
        f"--{flag.name}  {text}", WIDTH, initial_indent="  ", subsequent_indent=" " * 6
    )
