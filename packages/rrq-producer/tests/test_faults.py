"""The table from errors of an exchange to what to do (RELIABILITY.md F30 to F37)."""

import socket
import ssl
from collections.abc import Callable

import pytest
import redis.exceptions

from rrq_producer.faults import RedisFault, diagnose, exchange_errors, leaves_open


def _parsed(reply: str) -> Exception:
    """Return the error the client library makes of an error reply."""
    from redis.connection import DefaultParser

    parse: Callable[[str], Exception] = DefaultParser.parse_error
    return parse(reply)


def _caused_by(cause: Exception) -> Exception:
    """Return a connection error as the client library raises it: with the system's error behind it."""
    try:
        try:
            raise cause
        except OSError:
            raise redis.exceptions.ConnectionError("Error connecting")  # noqa: B904 - as the library does
    except redis.exceptions.ConnectionError as error:
        return error


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ("LOADING Redis is loading the dataset in memory", RedisFault.RETRY),
        ("BUSY Redis is busy running a script.", RedisFault.RETRY),
        ("TRYAGAIN Multiple keys request during rehashing of slot", RedisFault.RETRY),
        ("CLUSTERDOWN The cluster is down", RedisFault.RETRY),
        ("MASTERDOWN Link with MASTER is down", RedisFault.RETRY),
        ("NOREPLICAS Not enough good replicas to write.", RedisFault.RETRY),
        ("MISCONF Redis is configured to save RDB snapshots", RedisFault.RETRY),
        ("ERR max number of clients reached", RedisFault.RECONNECT),
        ("READONLY You can't write against a read only replica.", RedisFault.RECONNECT),
        ("OOM command not allowed when used memory > 'maxmemory'.", RedisFault.FULL),
        ("NOSCRIPT No matching script. Please use EVAL.", RedisFault.NO_SCRIPT),
        ("NOAUTH Authentication required.", RedisFault.CONFIGURATION),
        ("WRONGPASS invalid username-password pair or user is disabled.", RedisFault.CONFIGURATION),
        ("ERR invalid password", RedisFault.CONFIGURATION),
        ("NOPERM No permissions to access a key", RedisFault.CONFIGURATION),
        ("MOVED 3999 127.0.0.1:6381", RedisFault.CONFIGURATION),
        ("ASK 3999 127.0.0.1:6381", RedisFault.CONFIGURATION),
        ("CROSSSLOT Keys in request don't hash to the same slot", RedisFault.CONFIGURATION),
        ("DENIED Redis is running in protected mode", RedisFault.CONFIGURATION),
        ("ERR DB index is out of range", RedisFault.CONFIGURATION),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", RedisFault.CONFIGURATION),
        ("ERR something else", RedisFault.BUG),
    ],
)
@pytest.mark.parametrize("old_client", [False, True])
def test_replies_are_told_by_their_code(reply: str, fault: RedisFault, old_client: bool) -> None:
    """Each reply is classed by its code, also with a client library that cuts the code off."""
    error = _parsed(reply)
    if old_client and hasattr(error, "status_code"):
        del error.status_code
    assert diagnose(error).fault is fault


@pytest.mark.parametrize(
    ("inner", "fault"),
    [
        ("-OOM command not allowed when used memory > 'maxmemory'.", RedisFault.FULL),
        ("-READONLY You can't write against a read only replica.", RedisFault.RECONNECT),
        ("-MISCONF Redis is configured to save RDB snapshots", RedisFault.RETRY),
    ],
)
def test_errors_inside_a_script_keep_their_meaning(inner: str, fault: RedisFault) -> None:
    """Servers before version 7 wrap the error of a command in the script's; the code inside counts."""
    reply = f"ERR Error running script (call to f_6b1bf486c81c): @user_script:12: @user_script: 12: {inner}"
    failure = diagnose(_parsed(reply))
    assert (failure.fault, failure.replied) == (fault, True)
    assert failure.problem == inner.removeprefix("-")


@pytest.mark.parametrize(
    ("reply", "hint", "begun"),
    [
        ("NOAUTH Authentication required.", "expected an address with a password", False),
        ("ERR Protocol error: unauthenticated bulk length", "expected an address with a password", False),
        ("WRONGPASS invalid username-password pair", "check the user name", False),
        ("ERR AUTH <password> called without any password configured for", "take it out", True),
        ("NOPERM User a has no permissions to run the 'evalsha' command", "+evalsha", False),
        ("NOPERM this user has no permissions to run the 'acl|list' command", "+acl|list", False),
        ("NOPERM No permissions to access a key", "~PREFIX:*", False),
        ("NOPERM No permissions to access a channel", "&PREFIX:*", False),
        ("ERR ACL failure in script: User c has no permissions to run the 'hset' command", "+hset", True),
        ("ERR ACL failure in script: No permissions to access a key", "~PREFIX:*", True),
        ("ERR The user executing the script can't run this command or subcommand", "+@scripting", True),
        ("ERR The user executing the script can't access at least one of the keys", "~PREFIX:*", True),
        (
            "ERR Error running script (call to f_1): @user_script:12: -NOPERM No permissions",
            "+@scripting",
            True,
        ),
        ("ERR DB index is out of range", "no database", True),
        ("OOM command not allowed when used memory > 'maxmemory'.", "maxmemory", False),
        ("LOADING Redis is loading the dataset in memory", "", False),
        ("ERR something else", "", True),
    ],
)
def test_what_to_do_is_told(reply: str, hint: str, begun: bool) -> None:
    """The hint names the right, the password or the setting; only a script that was at work may have done a
    part."""
    failure = diagnose(_parsed(f"{reply} script: d0e127c79d02, on @user_script:207."))
    assert hint in failure.hint
    assert failure.begun is begun
    assert "@user_script" not in failure.problem


def test_a_server_that_hangs_up_leaves_no_connection() -> None:
    """After a protocol error the server closes the connection; after any other error reply it does not."""
    assert leaves_open(_parsed("ERR something else"))
    assert not leaves_open(_parsed("ERR Protocol error: unauthenticated bulk length"))
    assert not leaves_open(TimeoutError())


@pytest.mark.parametrize(
    ("error", "reached"),
    [
        (redis.exceptions.ConnectionError("Error 111 connecting to h:1. Connection refused."), False),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0)"), False),
        (redis.exceptions.ConnectionError("Connection closed by server."), True),
        (redis.exceptions.TimeoutError("Timeout connecting to server"), True),
    ],
)
def test_whether_somebody_is_there(error: Exception, reached: bool) -> None:
    """A connection that was refused says that nobody is; one that is cut or silent does not."""
    assert diagnose(error).reached is reached


@pytest.mark.parametrize(
    ("cause", "fault"),
    [
        (ConnectionRefusedError(111, "Connection refused"), RedisFault.RECONNECT),
        (ConnectionResetError(104, "reset"), RedisFault.RECONNECT),
        (FileNotFoundError(2, "no socket"), RedisFault.RECONNECT),
        (TimeoutError(), RedisFault.RECONNECT),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), RedisFault.RECONNECT),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), RedisFault.CONFIGURATION),
        (ssl.SSLCertVerificationError(1, "self-signed"), RedisFault.CONFIGURATION),
        (ssl.SSLEOFError(8, "cut"), RedisFault.RECONNECT),
        (PermissionError(13, "denied"), RedisFault.CONFIGURATION),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_happens_on_the_way_is_told_by_its_cause(cause: Exception, fault: RedisFault) -> None:
    """A broken connection is made anew; a name, certificate or right that is wrong needs a person."""
    for error in (cause, _caused_by(cause)):
        failure = diagnose(error)
        assert (failure.fault, failure.replied) == (fault, False)
        assert bool(failure.hint) == (fault is RedisFault.CONFIGURATION)
        assert isinstance(error, exchange_errors())


def test_texts_are_short_and_of_one_line() -> None:
    """The server's text cannot flood an error, nor forge further lines of a log."""
    failure = diagnose(redis.exceptions.ResponseError("one\r\ntwo " + "x" * 10_000))
    assert failure.problem.startswith("one two x")
    assert len(failure.problem) < 400
    assert diagnose(TimeoutError()).problem == "no answer in time"
    assert diagnose(OSError()).problem == "OSError"
