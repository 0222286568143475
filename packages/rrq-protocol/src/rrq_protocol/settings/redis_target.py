"""Which Redis the settings mean, ready to connect to (API.md, *Settings*).

``embedded://<folder>`` is a server of the project's own. It announces itself in ``<folder>/server.json``;
reading that one small file is the only I/O here.
"""

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from rrq_protocol.errors import SettingsError
from rrq_protocol.settings.dsn_query import dsn_query_problems
from rrq_protocol.settings.model import DEFAULT_REDIS_DSN, Settings
from rrq_protocol.settings.secret import Secret, mask_url

__all__ = ["SERVER_FILE", "EmbeddedServer", "RedisTarget", "TlsFiles", "require_permitted", "resolve_redis"]

# What `rrq dev` writes into the folder of an embedded server.
SERVER_FILE: Final = "server.json"
_FALLBACK: Final = "redis://localhost:6379/0"
_HINT: Final = (
    "redis_dsn is not set: tried localhost:6379; start `rrq dev` for an embedded server, "
    "or set redis_dsn / RRQ_REDIS_DSN"
)
_MAX_BYTES: Final = 64 * 1024


class EmbeddedServer(msgspec.Struct, frozen=True):
    """Content of ``server.json``.

    Attributes:
        socket: Path of its Unix socket; relative ones start at the folder of the file.
        pid: Its process id.
        version: Its version, for display.
    """

    socket: str
    pid: int
    version: str = ""


class TlsFiles(msgspec.Struct, frozen=True):
    """What a connection by TLS is checked with (RELIABILITY.md S20).

    Attributes:
        ca: Certificates of the authority that signed the server's; None for those of the system.
        cert: Our own certificate, where the server asks for one.
        key: Its key; None where it stands in the same file.
        check_hostname: Whether the server's certificate must bear its name.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    check_hostname: bool = True


class RedisTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect.

    Attributes:
        url: What to hand to a Redis client, or None where ``problem`` says why there is nothing to connect
            to.
        display: The same, fit for people and logs.
        problem: What is missing and what to do about it.
        hint: What to add to the text of a connection error.
        embedded_dir: The folder of the embedded server, where the settings mean one.
        tls: Certificates, where the URL is one by TLS.
        dsn_file: The file the URL was read from, and passwords of later connections are.
    """

    url: Secret | None
    display: str
    problem: str | None = None
    hint: str | None = None
    embedded_dir: str | None = None
    tls: TlsFiles | None = None
    dsn_file: str | None = None

    @classmethod
    def of(cls, url: str) -> "RedisTarget":
        """Return a server given by its URL alone."""
        return cls(url=Secret(url), display=mask_url(url))


def resolve_redis(settings: Settings, *, cwd: str | os.PathLike[str] | None = None) -> RedisTarget:
    """Return the Redis that ``settings`` mean.

    Args:
        settings: Their ``redis_dsn`` decides. An embedded folder is relative to the configuration file's
            folder.
        cwd: The folder to start from where no configuration file was read; the process's own by default.

    Raises:
        SettingsError: The DSN has an option that is not permitted; settings that were checked have none.
    """
    dsn = settings.redis_dsn
    scheme, _, embedded_folder = dsn.reveal().partition("://")
    if scheme != "embedded":
        require_permitted(dsn.reveal())
        return RedisTarget(
            url=dsn,
            display=dsn.masked(),
            tls=_tls_files(settings) if scheme.startswith("rediss") else None,
            dsn_file=settings.provenance.dsn_file,
        )
    config_file = settings.provenance.config_file
    base = Path(config_file).parent if config_file else Path(cwd) if cwd is not None else Path.cwd()
    folder = (base / embedded_folder).absolute()
    if _is_unset(settings) and not folder.is_dir():
        return RedisTarget(url=Secret(_FALLBACK), display=_FALLBACK, hint=_HINT)
    server = _read_server(folder)
    if server is None or not _is_alive(server.pid):
        return RedisTarget(
            url=None,
            display=f"embedded server in {folder}",
            problem=(
                f"no embedded Redis is running in {folder}: start it with `rrq dev` "
                "(or `rrq embedded start`), or set redis_dsn to a server of yours"
            ),
            embedded_dir=str(folder),
        )
    url = f"unix://{quote(str(folder / server.socket))}"
    return RedisTarget(url=Secret(url), display=url, embedded_dir=str(folder))


def require_permitted(url: str) -> None:
    """Refuse options of the client library in a URL, before it takes them.

    Raises:
        SettingsError: Naming each.
    """
    problems = [f"rrq.redis_dsn: {problem}" for problem in dsn_query_problems(url)]
    if problems:
        raise SettingsError(problems)


def _tls_files(settings: Settings) -> TlsFiles:
    return TlsFiles(
        ca=settings.redis_tls_ca_file,
        cert=settings.redis_tls_cert_file,
        key=settings.redis_tls_key_file,
        check_hostname=settings.redis_tls_check_hostname,
    )


def _is_unset(settings: Settings) -> bool:
    given = settings.provenance.given
    if given is not None:
        return "redis_dsn" not in given
    return settings.redis_dsn == Secret(DEFAULT_REDIS_DSN)


def _read_server(folder: Path) -> EmbeddedServer | None:
    try:
        with (folder / SERVER_FILE).open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_BYTES), type=EmbeddedServer)
    except (OSError, ValueError, msgspec.MsgspecError):  # absent, or caught half-written: not running
        return None


def _is_alive(pid: int) -> bool:
    if not 0 < pid < 2**31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, but there
        return True
    return True
