"""The text of --help."""

import types

from absl import flags

from tfadv.programs.help import WIDTH, help_text


def test_docstring_and_own_flags_with_their_defaults() -> None:
    program = types.ModuleType("a_program_with_flags", "Does a thing.\n\n    example\n")
    names = {"module_name": program.__name__}
    flags.DEFINE_integer("help_test_number", 3, "How many.", **names)
    flags.DEFINE_string("help_test_name", None, "Of the thing. [the folder's]", **names)
    flags.DEFINE_multi_string("help_test_parts", [], "Parts. [all]", **names)
    flags.DEFINE_enum("help_test_kind", None, ["x", "y"], "Which." + 20 * " word", **names)
    lines = help_text(program).splitlines()
    assert lines[:5] == ["Does a thing.", "", "    example", "", "Flags:"]
    assert lines[5:8] == [
        "  --help_test_number  How many. [3]",
        "  --help_test_name  Of the thing. [the folder's]",
        "  --help_test_parts  Parts. [all]",
    ]
    assert lines[8].startswith("  --help_test_kind  <x|y>: Which. word")
    assert lines[9].startswith("      word")
    assert lines[-1].endswith("word [none]")
    assert max(map(len, lines)) <= WIDTH
