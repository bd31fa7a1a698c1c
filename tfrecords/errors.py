"""The one exception that speaks to users."""


class UserError(Exception):
    """A mistake in flags or data: shown as one message, without a traceback.

    Its text says which file or flag, what was expected, what was received and what to do.
    """
