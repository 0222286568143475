"""The accounts kept outside Redis: one JSON object a line, appended in one call, read back at the end."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import msgspec

__all__ = [
    "Acknowledged",
    "Attempted",
    "Entry",
    "Fault",
    "Merged",
    "Refused",
    "Seen",
    "append",
    "read_ledger",
    "read_witness",
    "read_witness_from",
]


class Attempted(msgspec.Struct, frozen=True, tag_field="entry", tag="attempted", omit_defaults=True):
    """A producer is about to enqueue a job.

    Attributes:
        id: The job's id, made by the producer.
        at: Monotonic seconds, as all times of the bench.
        function: The handler.
        fails: How many of its attempts fail, where that is not 0.
        defer_s: It must not start earlier than so many seconds later.
        unique: Its unique key.
    """

    id: str
    at: float
    function: str
    fails: int = 0
    defer_s: float = 0.0
    unique: str = ""


class Acknowledged(msgspec.Struct, frozen=True, tag_field="entry", tag="acknowledged"):
    """The producer was told that the job is accepted; from now on it must not get lost."""

    id: str
    at: float


class Merged(msgspec.Struct, frozen=True, tag_field="entry", tag="merged"):
    """The producer was told that another job, which holds the unique key, stands for this one."""

    id: str
    at: float
    into: str


class Refused(msgspec.Struct, frozen=True, tag_field="entry", tag="refused"):
    """The producer was told that there is no memory, and that nothing was written; it gave the job up."""

    id: str
    at: float


Entry: TypeAlias = Attempted | Acknowledged | Merged | Refused


class Seen(msgspec.Struct, frozen=True):
    """A handler started or ended; written by :mod:`support.chaos.handlers`.

    Attributes:
        what: ``start``, ``ok``, ``failed`` or ``cancelled``.
        job: The job.
        request: The execution: job id and claim.
        attempt: The attempt as the handler was told, from 1.
        pid: The runner process.
        parent: The orchestrator process that started it.
        owner: The id under which that one had claimed the job; it takes another when it is declared dead.
        at: Monotonic seconds.
    """

    what: str
    job: str
    request: str
    attempt: int
    pid: int
    parent: int
    owner: str
    at: float

    @property
    def claim_seq(self) -> int:
        """The number of the claim."""
        # Behind it an owner is named where Redis went back and counts again.
        return int(self.request.removeprefix(f"{self.job}.").partition(".")[0])


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """The bench did something bad.

    Attributes:
        kind: What, e.g. ``orchestrator.kill``.
        at: When it was done; for a kill, right after the signal was sent.
        pids: The processes it was done to.
        until: When it was over, where it lasted.
    """

    kind: str
    at: float
    pids: tuple[int, ...] = ()
    until: float = 0.0


_encode = msgspec.json.Encoder().encode


def append(path: Path, entries: Iterable[msgspec.Struct]) -> None:
    """Append entries, all of them in one write."""
    data = b"".join(_encode(entry) + b"\n" for entry in entries)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def read_ledger(path: Path) -> list[Entry]:
    """Return the entries of a ledger; none where there is no file."""
    return [_decode_entry(line) for line in _lines(path)]


def read_witness(path: Path) -> list[Seen]:
    """Return what handlers wrote; nothing where there is no file."""
    return read_witness_from(path, 0)[0]


def read_witness_from(path: Path, start: int) -> tuple[list[Seen], int]:
    """Return what handlers wrote behind the first ``start`` bytes, and where to go on."""
    lines = _lines(path, start)
    return [_decode_seen(line) for line in lines], start + sum(len(line) + 1 for line in lines)


_decode_entry = msgspec.json.Decoder[Entry](Entry).decode
_decode_seen = msgspec.json.Decoder(Seen).decode


def _lines(path: Path, start: int = 0) -> list[bytes]:
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(start)
        # A last line that a kill cut short has no end.
        return file.read().split(b"\n")[:-1]
