"""Every failure of Redis that people meet comes with what to do."""

import pytest

from rrq_orchestrator.store.advice import Advice
from rrq_protocol.settings import RedisTarget, TlsFiles


@pytest.mark.parametrize(
    ("problem", "action"),
    [
        ("READONLY You can't write against a read only replica.", "this server is a replica"),
        ("MISCONF Redis is configured to save RDB snapshots, but", "its disk"),
        ("NOREPLICAS Not enough good replicas to write.", "its replicas are away"),
        ("NOAUTH Authentication required.", "check redis_dsn: its user and password"),
        ("invalid username-password pair or user is disabled.", "check redis_dsn: its user and password"),
        ("NOPERM User default has no permissions to run the 'eval' command", "give this user the right"),
        ("MOVED 1234 10.0.0.1:6379", "a node of a cluster"),
        ("1234 10.0.0.1:6379", "a node of a cluster"),
        ("DB index is out of range", "the number of its database"),
        ("Redis is loading the dataset in memory", "wait"),
        ("max number of clients reached", "maxclients"),
        ("Error -2 connecting to nowhere:6379. Name or service not known.", "the name of its host"),
        ("Timeout reading from localhost:6379", "does not answer"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "certificates"),
        ("No master found for 'main': no sentinel at h:1 answers by TLS and knows it", "certificates"),
        (
            "Error 111 connecting to localhost:6379. Connection refused.",
            "a Redis or Valkey server runs there",
        ),
    ],
)
def test_the_text_of_the_error_decides(problem: str, action: str) -> None:
    """One table, the most telling row first."""
    assert action in Advice().on(problem)


def test_a_server_that_hangs_up() -> None:
    """With TLS that is the likely reason. Without it the server may want it."""
    tls = Advice.about(RedisTarget(url=None, display="rediss://h", tls=TlsFiles()))
    for problem in ("Error 8 while writing to socket. EOF occurred", "Timeout connecting to server"):
        assert "redis_tls_cert_file" in tls.on(problem)
    assert "rediss://" in Advice().on("Error while reading from h:1 : (104, 'Connection reset by peer')")


def test_a_server_of_the_projects_own_is_to_be_started() -> None:
    """Its folder is named, and the command."""
    target = RedisTarget(url=None, display="unix:///x/.rrq/redis.sock", embedded_dir="/x/.rrq")
    action = Advice.about(target).on("Error 2 connecting to unix:///x/.rrq/redis.sock. No such file")
    assert "/x/.rrq" in action
    assert "`rrq dev`" in action


def test_what_was_assumed_is_said() -> None:
    """Where no DSN was set, that is the first thing to know."""
    target = RedisTarget(url=None, display="redis://localhost:6379/0", hint="redis_dsn is not set: tried")
    assert Advice.about(target).on("Connection refused") == "redis_dsn is not set: tried"
