"""Errors of the embedded server.

::

    RRQError
    └── EmbeddedServerError     it did not start, does not answer, or could not be stopped
        └── EmbeddedSetupError  nothing was tried: the wheel is missing, or the folder cannot be used
"""

from rrq_protocol import RRQError

__all__ = ["EmbeddedServerError", "EmbeddedSetupError"]


class EmbeddedServerError(RRQError):
    """The embedded server did not do what was asked; the text says why and what to do."""


class EmbeddedSetupError(EmbeddedServerError):
    """This machine, or this folder, cannot run one as it is. Correct that first."""
