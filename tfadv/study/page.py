"""Pages that need no other file: figures, and what makes HTML of templates."""

from base64 import b64encode
from typing import Any, NamedTuple

import jinja2


class Shown(NamedTuple):
    """A figure: the name of its file, its title, what to know, its PNG (none: only the caption).

    Attributes:
        table: below it, the titles of its columns and its rows; none if empty.
    """

    name: str
    title: str
    caption: str
    png: bytes
    table: tuple[list[str], list[list[str]]] = ([], [])

    @property
    def base64(self) -> str:
        return b64encode(self.png).decode()


def render(template: str, **values: Any) -> bytes:
    """A page by a template of this folder, of which `values` are all that it may show."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfadv", "study"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values).encode()
