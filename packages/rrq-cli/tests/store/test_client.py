"""One connection: transitions, batches whose errors stay apart, and what to do where nothing answers."""

import socket
import struct
import threading

import pytest

from rrq_cli.commands.check import ANSWER_S
from rrq_cli.exits import CliError
from rrq_cli.params import GlobalOptions
from rrq_cli.store.client import connect, open_store
from rrq_protocol import Secret, script_names, transitions
from rrq_protocol.settings import RedisTarget, TlsFiles
from support.cli import World


@pytest.fixture
def options(world: World, monkeypatch: pytest.MonkeyPatch) -> GlobalOptions:
    """Return options that mean the test's key space."""
    monkeypatch.chdir(world.folder)
    return GlobalOptions(redis_dsn=world.url, prefix=world.keys.prefix)


def test_a_transition_runs_though_the_server_forgot_it(world: World, options: GlobalOptions) -> None:
    """A script that the server does not know is sent whole."""
    assert script_names()
    job_id = world.enqueue()
    with open_store(options) as store:
        world.redis.script_flush()
        assert store.run(transitions.cancel(store.keys, job_id)) == "cancelled"
        assert store.run(transitions.cancel(store.keys, job_id)) == "finished"


def test_one_bad_key_hides_no_other(options: GlobalOptions) -> None:
    """In a batch, an error reply stands in its place."""
    with open_store(options) as store:
        key = store.keys.queue("q")
        store.redis.set(key, "text")
        card, text = store.ask(("ZCARD", key), ("GET", key))
        assert isinstance(card, Exception)
        assert text == b"text"
        assert store.ask() == []


def test_time_is_the_servers(options: GlobalOptions) -> None:
    """Ages are measured by the server's clock, in epoch ms."""
    with open_store(options) as store:
        first, second = store.now_ms(), store.now_ms()
        assert 1.6e12 < first <= second


@pytest.mark.parametrize(
    ("tls", "advice"), [(TlsFiles(), "redis_tls_cert_file"), (None, "write rediss://")], ids=["tls", "plain"]
)
def test_a_server_that_hangs_up(tls: TlsFiles | None, advice: str) -> None:
    """It may want a certificate, or TLS at all; the error itself does not say so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        scheme, port = "rediss" if tls else "redis", server.getsockname()[1]
        url = f"{scheme}://127.0.0.1:{port}/0"

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with (
            pytest.raises(CliError, match=advice),
            connect(RedisTarget(url=Secret(url), display=url, tls=tls)),
        ):
            pass
        thread.join()


def test_nothing_there_says_what_to_do() -> None:
    """The target's own advice is given where it has some."""
    url = "redis://127.0.0.1:1/0"
    target = RedisTarget(url=Secret(url), display=url, hint="start `rrq dev`")
    with (
        pytest.raises(CliError, match=r"cannot reach Redis at redis://127\.0\.0\.1:1/0 .*: start `rrq dev`"),
        connect(target),
    ):
        pass


def test_a_server_that_never_answers_is_given_up() -> None:
    """As one that is frozen: it takes the connection, and that is all. Whoever asks says for how long."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        target = RedisTarget(url=Secret(url), display=url)
        with pytest.raises(CliError, match="cannot reach Redis"), connect(target, answer_s=0.2):
            pass
    assert ANSWER_S < 5  # `rrq check` ends within about five seconds


def test_a_missing_settings_file_is_told_where_it_may_matter(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reaches nothing without any settings is told that no file was found, and how to name one."""
    monkeypatch.chdir(world.folder)
    for name in ("RRQ_KEY_PREFIX", "RRQ_REDIS_DSN", "RRQ_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    (world.folder / ".rrq").mkdir()
    with pytest.raises(CliError) as failed, open_store(GlobalOptions()):
        pass
    assert f"no rrq.toml found in {world.folder}; using the defaults" in str(failed.value)
    with open_store(GlobalOptions(redis_dsn=world.url)) as store:
        assert store.remark is None
    (world.folder / "rrq.toml").write_text("[rrq]\n")
    with pytest.raises(CliError) as failed, open_store(GlobalOptions()):
        pass
    assert "no rrq.toml" not in str(failed.value)
