"""README.md of a model: for whom it is, what it was made of, how well it did, and its limits."""

import jinja2

from tfadv.inference.description import TEST, Description

CARD = "README.md"


def card(description: Description) -> str:
    """The description in words, as Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfadv", "inference"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    tested = TEST in {note.split for note in description.scores}
    return environment.get_template("card.md.jinja").render(made=description, tested=tested)


def _cell(text: str) -> str:
    """What a table's cell can hold of names that others chose."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
