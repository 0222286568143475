"""Building blocks of the settings model: annotated types that carry range, kind and meaning.

The parser, the reference in ``docs/settings.md`` and the error texts are all derived from these annotations,
so that a field is described in one place only.
"""

from typing import Annotated, Final

import msgspec

__all__ = [
    "KIB",
    "MIB",
    "ByteSize",
    "Command",
    "LongSeconds",
    "NonNegativeSeconds",
    "Port",
    "FunctionName",
    "PrivateText",
    "QueueName",
    "RunnerName",
    "Seconds",
    "WholeSeconds",
    "doc",
]

KIB: Final = 1024
MIB: Final = 1024 * KIB


def doc(text: str, *, default: str | None = None) -> msgspec.Meta:
    """Return the annotation that gives a field its meaning.

    Args:
        text: One sentence or two for the settings reference.
        default: How the reference states the default where the value itself would not tell.
    """
    return msgspec.Meta(description=text, extra=None if default is None else {"default": default})


_DURATION: Final = {"kind": "duration"}

# Durations are plain numbers of seconds in the model. The parser also takes "90s", "5m", "2h" and timedelta.
Seconds = Annotated[float, msgspec.Meta(gt=0, extra=_DURATION)]
NonNegativeSeconds = Annotated[float, msgspec.Meta(ge=0, extra=_DURATION)]
# Redis and the job record keep these as decimal integers (REDIS_SCHEMA.md), so fractions are refused.
WholeSeconds = Annotated[int, msgspec.Meta(ge=0, extra=_DURATION)]
LongSeconds = Annotated[int, msgspec.Meta(ge=1, extra=_DURATION)]

ByteSize = Annotated[int, msgspec.Meta(ge=1, extra={"kind": "size"})]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
# Checked with rrq_protocol.names; a full Redis key is accepted for queues and shortened (RELIABILITY.md S24).
QueueName = Annotated[str, msgspec.Meta(extra={"kind": "queue"})]
RunnerName = Annotated[str, msgspec.Meta(extra={"kind": "runner"})]
FunctionName = Annotated[str, msgspec.Meta(extra={"kind": "function"})]
# Free text that may hold a credential: never repeated in an error.
PrivateText = Annotated[str, msgspec.Meta(extra={"kind": "private"})]
# Program and arguments; in an environment variable also as one line, split as a shell would.
Command = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, extra={"kind": "command"})]
