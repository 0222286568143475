"""What a person can do about a Redis that does not do its part: one table; pure."""

import re
from typing import Final

import msgspec

from rrq_protocol.settings import RedisTarget

__all__ = ["Advice"]

_TLS: Final = (
    "check redis_dsn: its scheme (redis:// or rediss://); certificates: redis_tls_ca_file, and "
    "redis_tls_cert_file and redis_tls_key_file where the server asks for them"
)
# Whoever wants TLS, or none, or a certificate, hangs up or says nothing: the error names no reason.
_hung_up = re.compile(r"EOF|reset by peer|closed by server").search
_silent = re.compile(r"Timeout|timed out").search
# The first that is found in the problem, in any case.
_BY_PROBLEM: Final = (
    (
        r"READONLY|read only replica",
        "this server is a replica, which takes no writes: set redis_dsn to its primary",
    ),
    (r"MISCONF", "Redis cannot write its files: see its log, and the space on its disk"),
    (r"NOREPLICAS|good replicas", "its replicas are away (min-replicas-to-write): look after them"),
    (
        r"NOAUTH|WRONGPASS|authentication|password",
        "check redis_dsn: its user and password (redis_dsn_file, RRQ_REDIS_DSN)",
    ),
    (r"NOPERM|no permissions|can't run|can't access", "give this user the right to it (ACL SETUSER)"),
    (r"DENIED", "the server is in protected mode: give it a password, and redis_dsn too"),
    (
        r"MOVED|ASK |CROSSSLOT|\d{1,5} \S*:\d{1,5}$",
        'redis_dsn names a node of a cluster: set it to one that holds the slot, and key_prefix to "{rrq}"',
    ),
    (r"DB index", "check redis_dsn: the number of its database"),
    (r"WRONGTYPE|wrong kind of value", "a key of ours is in other use: set key_prefix, or remove the key"),
    (r"LOADING", "wait: the server is reading its data"),
    (r"max number of clients", "raise maxclients of the server, or see who holds its connections"),
    (
        r"Name or service|nodename|name resolution|getaddrinfo|No address associated",
        "check redis_dsn: the name of its host",
    ),
    (r"certificate|SSL|TLS", _TLS),
    (
        r"Timeout|timed out",
        "the server does not answer: is it overloaded or stopped, or does a firewall stand between?",
    ),
    (r"No master found", "check that the sentinels run, and the name of the service in redis_dsn"),
    (r"redis_dsn_file", "put the DSN into that file, or name another one"),
)


class Advice(msgspec.Struct, frozen=True):
    """Knows which Redis the settings mean.

    Attributes:
        embedded_dir: The folder of the embedded server, where they mean one.
        hint: What is to be said of every failure to connect, e.g. that no DSN is set.
        tls: Whether they mean one by TLS.
    """

    embedded_dir: str | None = None
    hint: str | None = None
    tls: bool = False

    @classmethod
    def about(cls, target: RedisTarget) -> "Advice":
        """Return the advice for a Redis."""
        return cls(target.embedded_dir, target.hint, target.tls is not None)

    def on(self, problem: str) -> str:
        """Return what to check or to start, given the text of an error."""
        if self.tls and (_hung_up(problem) or _silent(problem)):
            return _TLS
        for pattern, action in _BY_PROBLEM:
            if re.search(pattern, problem, re.IGNORECASE):
                return action
        if self.embedded_dir is not None:
            return f"start the embedded server in {self.embedded_dir}: `rrq dev`, or `rrq embedded start`"
        known = "check that a Redis or Valkey server runs there, and that redis_dsn names it"
        # It may have been restarted, too.
        return self.hint or (f"{known}: rediss:// where it wants TLS" if _hung_up(problem) else known)
