"""What error replies mean, as a server sends them and as a client library hands them on."""

import socket
import threading
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rrq_protocol import RedisFault, classify_reply, reply_of

RETRY, RECONNECT, FULL = RedisFault.RETRY, RedisFault.RECONNECT, RedisFault.FULL
CONFIGURATION, NO_SCRIPT, BUG = RedisFault.CONFIGURATION, RedisFault.NO_SCRIPT, RedisFault.BUG

REPLIES = [
    ("LOADING Redis is loading the dataset in memory", RETRY),
    ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", RETRY),
    ("TRYAGAIN Multiple keys request during rehashing of slot", RETRY),
    ("CLUSTERDOWN The cluster is down", RETRY),
    ("CLUSTERDOWN Hash slot not served", RETRY),
    ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", RETRY),
    ("NOREPLICAS Not enough good replicas to write.", RETRY),
    (
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        RETRY,
    ),
    ("ERR max number of clients reached", RETRY),
    ("UNBLOCKED client unblocked via CLIENT UNBLOCK", RETRY),
    ("READONLY You can't write against a read only replica.", RECONNECT),
    ("OOM command not allowed when used memory > 'maxmemory'.", FULL),
    ("OOM command not allowed when used memory > 'maxmemory'. script: 5c2, on @user_script:9.", FULL),
    (
        "ERR Error running script (call to f_5c2): @user_script:9: -OOM command not allowed when used memory",
        FULL,
    ),
    ("NOSCRIPT No matching script. Please use EVAL.", NO_SCRIPT),
    ("NOAUTH Authentication required.", CONFIGURATION),
    ("WRONGPASS invalid username-password pair or user is disabled.", CONFIGURATION),
    ("ERR invalid password", CONFIGURATION),
    ("ERR AUTH <password> called without any password configured for the default user.", CONFIGURATION),
    ("NOPERM User x has no permissions to run the 'evalsha' command", CONFIGURATION),
    ("NOPERM ACL failure in script: No permissions to access a key", CONFIGURATION),
    (
        "ERR The user executing the script can't access at least one of the keys mentioned in it",
        CONFIGURATION,
    ),
    ("DENIED Redis is running in protected mode because protected mode is enabled", CONFIGURATION),
    ("MOVED 3999 127.0.0.1:6381", CONFIGURATION),
    ("CROSSSLOT Keys in request don't hash to the same slot", CONFIGURATION),
    ("ERR DB index is out of range", CONFIGURATION),
    ("ERR unknown command 'EVALSHA', with args beginning with:", CONFIGURATION),
    ("WRONGTYPE Operation against a key holding the wrong kind of value", CONFIGURATION),
    (
        "ERR Error running script (call to f_5c2): @user_script:9: WRONGTYPE against a wrong kind of value",
        CONFIGURATION,
    ),
    ("ERR wrong number of arguments for 'get' command", BUG),
    ("ERR settle: unknown kind finish", BUG),
    ("", BUG),
]


@pytest.mark.parametrize(("reply", "fault"), REPLIES)
def test_replies_are_classed(reply: str, fault: RedisFault) -> None:
    """Each error a server is known to send asks for one thing (F30 to F37, F40)."""
    assert classify_reply(reply) is fault


@pytest.fixture
def faulty() -> Iterator[tuple[str, list[bytes]]]:
    """Serve a TCP server that answers every command with the same error, and the list that holds it."""
    answer: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    while commands := peer.recv(65536):
                        peer.sendall(answer[0] * commands.count(b"*"))

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0", answer
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize(("reply", "fault"), [pair for pair in REPLIES if pair[0] and pair[1] is not BUG])
def test_a_client_library_does_not_hide_the_class(
    faulty: tuple[str, list[bytes]], reply: str, fault: RedisFault
) -> None:
    """The text of the exception that the client raises is classed like the reply it was made from."""
    url, answer = faulty
    answer[:] = [b"-" + reply.encode() + b"\r\n"]
    retry = Retry(NoBackoff(), 0)
    with (
        redis.Redis.from_url(url, protocol=2, retry=retry) as client,
        pytest.raises((redis.RedisError, redis.AuthenticationError)) as caught,
    ):
        client.get("k")
    assert classify_reply(str(caught.value)) is fault, repr(caught.value)


class NoScriptError(Exception):
    """Stands for the client library's class, which older versions raise without the reply's code."""


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (NoScriptError("No matching script."), "NOSCRIPT No matching script."),
        (Exception("OOM command not allowed"), "OOM command not allowed"),
        (
            Exception("ERR Error running script (call to f_ab12): @user_script:33: -OOM command not allowed"),
            "OOM command not allowed",
        ),
        (Exception("something\nelse"), "something else"),
    ],
)
def test_the_reply_behind_an_error_has_its_code_again(error: Exception, reply: str) -> None:
    """Old clients cut it off, old servers wrap it when a command fails inside a script."""
    assert reply_of(error) == reply
