"""A primary, a replica, and sentinels that watch them: real processes on loopback ports."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import redis

from support.redis_servers import LOOPBACK, ProcessServer, free_port
from support.tls import Certificates, system_binary

__all__ = ["SERVICE", "GuardedSentinel", "Sentinels"]

SERVICE = "rrq-primary"
WITHIN_S = 30
# How long a primary must be silent; a busy machine must not be taken for a dead server.
_DOWN_AFTER_MS = 3000


class _Sentinel(ProcessServer):
    """One sentinel; it keeps what it learns in its configuration file."""

    def __init__(self, binary: Path, primary_port: int) -> None:
        super().__init__(binary, port=free_port())
        self.port = int(self.url.rpartition(":")[2].partition("/")[0])
        file = self.folder / "sentinel.conf"
        lines = [
            f"port {self.port}",
            f"bind {LOOPBACK}",
            f"dir {self.folder}",
            f"sentinel monitor {SERVICE} {LOOPBACK} {primary_port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} 10000",
        ]
        file.write_text("\n".join(lines) + "\n")
        self._command = [str(binary), str(file), "--sentinel"]
        self.url = self.url.removesuffix("/0")


class _Together:
    """Servers that start one after the other; if one does not, none is left."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _start(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


class Sentinels(_Together):
    """See the module; started and ended as a context.

    Attributes:
        primary: The server that is the primary at first.
        replica: The one that follows it, and takes its place.
        url: The DSN that names the sentinels.
    """

    def __init__(self, binary: Path, count: int = 3) -> None:
        # Nothing is acknowledged to nobody: without its replica the primary takes no writes.
        self.primary = ProcessServer(binary, append_only=True)
        port = int(self.primary.url.rpartition(":")[2].partition("/")[0])
        self.replica = ProcessServer(binary, arguments=["--replicaof", LOOPBACK, str(port)])
        self.sentinels = [_Sentinel(binary, port) for _ in range(count)]
        nodes = ",".join(f"{LOOPBACK}:{each.port}" for each in self.sentinels)
        self.url = f"redis+sentinel://{nodes}/{SERVICE}/0"

    def _start(self) -> None:
        for server in (self.primary, self.replica, *self.sentinels):
            server.start()
        self._wait(lambda info: int(info["connected_slaves"]) == 1, self.primary, "a replica")
        for each in self.sentinels:
            self._wait(self._knows_all, each, "sentinels that know each other and the replica")

    def wait_for_promotion(self) -> None:
        """Wait until the replica is the primary."""
        self._wait(lambda info: info["role"] == "master", self.replica, "a new primary")

    def replicated(self, client: "redis.Redis") -> bool:
        """Return whether everything written before this call is on the replica too."""
        client.set("replicated", "?")
        done: Any = client.wait(1, 5000)
        return bool(done)

    def _knows_all(self, info: dict[str, Any]) -> bool:
        known = info.get("master0", {})
        return int(known.get("sentinels", 0)) == len(self.sentinels) and int(known.get("slaves", 0)) == 1

    def _wait(self, good: Any, server: ProcessServer, what: str) -> None:
        give_up = time.monotonic() + WITHIN_S
        with redis.Redis.from_url(server.url) as client:
            while not good(info := client.info()):
                assert time.monotonic() < give_up, f"expected {what}, got {info}"
                time.sleep(0.02)  # servers announce no roles

    def _close(self) -> None:
        for server in (*self.sentinels, self.replica, self.primary):
            server.close()


class GuardedSentinel(_Together):
    """A primary and one sentinel that speak TLS only, and want certificates and passwords, each its own.

    Args:
        certificates: Who may come in; both show one for the loopback address.

    Attributes:
        primary: The server.
        url: The DSN that names the sentinel.
    """

    PASSWORD, SENTINEL_PASSWORD = "p@ss/primary", "p@ss/sentinel"

    def __init__(self, certificates: Certificates) -> None:
        binary = system_binary()
        cert, key = certificates.issue("loopback", LOOPBACK)
        port, sentinel_port = free_port(), free_port()
        files = {"tls-cert-file": cert, "tls-key-file": key, "tls-ca-cert-file": certificates.ca}
        common = [f"{name} {path}" for name, path in files.items()]
        common += ["port 0", "tls-auth-clients yes", "tls-replication yes"]
        own = [f"tls-port {port}", f"requirepass {self.PASSWORD}"]
        self.primary = ProcessServer(
            binary, arguments=[word for line in (*common, *own) for word in f"--{line}".split(" ")]
        )
        self.sentinel = ProcessServer(binary)
        lines = [
            *common,
            f"tls-port {sentinel_port}",
            f"bind {LOOPBACK}",
            f"dir {self.sentinel.folder}",
            f"requirepass {self.SENTINEL_PASSWORD}",
            f"sentinel monitor {SERVICE} {LOOPBACK} {port} 1",
            f"sentinel auth-pass {SERVICE} {self.PASSWORD}",
        ]
        file = self.sentinel.folder / "sentinel.conf"
        file.write_text("\n".join(lines) + "\n")
        self.sentinel._command = [str(binary), str(file), "--sentinel"]
        given = {
            "ssl_ca_certs": certificates.ca,
            "ssl_certfile": certificates.client_cert,
            "ssl_keyfile": certificates.client_key,
        }
        query = "?" + "&".join(f"{name}={path}" for name, path in given.items())
        password, sentinel_password = (
            quote(word, safe="") for word in (self.PASSWORD, self.SENTINEL_PASSWORD)
        )
        self.primary.url = f"rediss://:{password}@{LOOPBACK}:{port}/0{query}"
        self.sentinel.url = f"rediss://:{sentinel_password}@{LOOPBACK}:{sentinel_port}{query}"
        self.url = (
            f"rediss+sentinel://:{password}@{LOOPBACK}:{sentinel_port}/{SERVICE}/0"
            f"?sentinel_password={sentinel_password}"
        )

    def _start(self) -> None:
        for server in (self.primary, self.sentinel):
            server.start()

    def _close(self) -> None:
        for server in (self.sentinel, self.primary):
            server.close()
