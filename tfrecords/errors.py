"""The exceptions that speak to users."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A mistake in flags or data: shown as one message, without a traceback.

    Its text says which file or flag, what was expected, what was received and what to do.
    """


class SettingError(UserError):
    """A wrong value of one setting. Each entrance spells the setting its own way: a flag, an entry.

    Attributes:
        setting: the name, as in "spacing", or "hp.width" for a hyperparameter.
        reason: what was expected and received.
    """

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"{setting}: {reason}")
        self.setting = setting
        self.reason = reason

    def __reduce__(self) -> tuple[type["SettingError"], tuple[str, str]]:
        """How workers send it to their parent: an exception is otherwise made of its text alone."""
        return type(self), (self.setting, self.reason)


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Raises what is wrong with a file's content with the file's name before it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
