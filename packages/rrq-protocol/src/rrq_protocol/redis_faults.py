"""What an error reply of Redis means for whoever sent the command (RELIABILITY.md F30 to F37, F40).

A table; it knows no client.
"""

import re
from enum import Enum

__all__ = ["RedisFault", "classify_reply", "reply_of"]


class RedisFault(Enum):
    """What to do about an error reply."""

    RETRY = "retry"
    """The server cannot do it now; the same command may succeed later on this connection."""

    RECONNECT = "reconnect"
    """This server is not the one to ask (any more); connect anew, then repeat."""

    FULL = "full"
    """Memory is used up: writes that take more are refused until some is freed."""

    NO_SCRIPT = "no_script"
    """The server has forgotten the script; send its text."""

    CONFIGURATION = "configuration"
    """Wrong password, missing right, wrong kind of server or of key: a person has to change something."""

    BUG = "bug"
    """Anything else: the command itself is wrong."""


_BY_CODE = {
    "LOADING": RedisFault.RETRY,
    "BUSY": RedisFault.RETRY,
    "TRYAGAIN": RedisFault.RETRY,
    "CLUSTERDOWN": RedisFault.RETRY,
    "MASTERDOWN": RedisFault.RETRY,
    "NOREPLICAS": RedisFault.RETRY,
    "MISCONF": RedisFault.RETRY,
    "UNBLOCKED": RedisFault.RETRY,
    "READONLY": RedisFault.RECONNECT,
    "UNKILLABLE": RedisFault.RETRY,
    "OOM": RedisFault.FULL,
    "NOSCRIPT": RedisFault.NO_SCRIPT,
    "NOAUTH": RedisFault.CONFIGURATION,
    "WRONGPASS": RedisFault.CONFIGURATION,
    "NOPERM": RedisFault.CONFIGURATION,
    "DENIED": RedisFault.CONFIGURATION,
    "MOVED": RedisFault.CONFIGURATION,
    "ASK": RedisFault.CONFIGURATION,
    "CROSSSLOT": RedisFault.CONFIGURATION,
    "WRONGTYPE": RedisFault.CONFIGURATION,
}
# Where the text has no code in front: a client library has cut it off, or a server before version 7 has
# wrapped the error of a command inside a script. Compared in lower case.
_BY_TEXT = (
    ("max number of clients reached", RedisFault.RETRY),
    ("command not allowed when used memory", RedisFault.FULL),
    ("invalid username-password", RedisFault.CONFIGURATION),
    ("invalid password", RedisFault.CONFIGURATION),
    ("authentication required", RedisFault.CONFIGURATION),
    ("without any password configured", RedisFault.CONFIGURATION),
    ("no permissions", RedisFault.CONFIGURATION),
    ("the user executing the script can't", RedisFault.CONFIGURATION),
    ("db index is out of range", RedisFault.CONFIGURATION),
    ("unknown command", RedisFault.CONFIGURATION),
    ("no matching script", RedisFault.NO_SCRIPT),
    ("loading the dataset", RedisFault.RETRY),
    ("can't write against a read only replica", RedisFault.RECONNECT),
    ("wrong kind of value", RedisFault.CONFIGURATION),
    ("the cluster is down", RedisFault.RETRY),
    ("hash slot not served", RedisFault.RETRY),
    ("keys request during rehashing of slot", RedisFault.RETRY),
    ("link with master is down", RedisFault.RETRY),
    ("not enough good replicas", RedisFault.RETRY),
    ("misconf", RedisFault.RETRY),
    ("keys in request don't hash to the same slot", RedisFault.CONFIGURATION),
)


# What a client library leaves of a MOVED or ASK: slot and address.
_REDIRECTION = re.compile(r"\d{1,5} \S*:\d{1,5}")


def classify_reply(message: str) -> RedisFault:
    """Return what an error reply asks for.

    Args:
        message: The reply as the server sent it, with its code in front (``"OOM command not allowed …"``), or
            as a client library passes it on without the code.
    """
    code = message.split(" ", 1)[0]
    if code in _BY_CODE:
        return _BY_CODE[code]
    if _REDIRECTION.fullmatch(message):
        return RedisFault.CONFIGURATION
    lowered = message.lower()
    return next((fault for text, fault in _BY_TEXT if text in lowered), RedisFault.BUG)


# Client libraries before 8.0 cut the code off the reply and keep only the class.
_CODE_OF_CLASS = {
    "AskError": "ASK",
    "BusyLoadingError": "LOADING",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "NoScriptError": "NOSCRIPT",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}
# Servers before version 7 wrap the error of a command inside a script, and its code with it.
_inside_script = re.compile(r"@user_script:? ?\d*: -?(?P<reply>[A-Z]{2,} .*)", re.DOTALL).search


def reply_of(error: BaseException) -> str:
    """Return the error reply behind an error of the client library, with its code in front if it can be told.

    The library's classes are told by their names, so that no client has to be imported here.
    """
    reply = " ".join(str(error).split())
    if wrapped := _inside_script(reply):
        return wrapped["reply"]
    code = getattr(error, "status_code", None) or _CODE_OF_CLASS.get(type(error).__name__)
    return f"{code} {reply}" if code and code != "ERR" and not reply.startswith(f"{code} ") else reply
