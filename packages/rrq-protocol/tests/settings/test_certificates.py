"""Files of TLS are looked into before anything connects."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from rrq_protocol import SettingsError, load_settings
from rrq_protocol.settings.certificates import certificate_problems
from support.tls import Certificates

CA, CERT, KEY = "redis_tls_ca_file", "redis_tls_cert_file", "redis_tls_key_file"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return an authority, and certificates it signed."""
    return Certificates(tmp_path_factory.mktemp("tls"))


def _problems(**files: Path) -> dict[str, str]:
    return dict(certificate_problems(files))


def _with_passphrase(key: Path, target: Path) -> Path:
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    target.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return target


def test_what_fits(good: Certificates, tmp_path: Path) -> None:
    """Nothing is said of files that belong together, the key in the certificate's file too."""
    both = tmp_path / "both.pem"
    both.write_bytes(good.client_cert.read_bytes() + good.client_key.read_bytes())
    files = {CA: good.ca, CERT: good.client_cert, KEY: good.client_key}
    assert _problems(**files) == {}
    assert _problems(**{CERT: both}) == {}


def test_a_key_of_another_certificate(good: Certificates) -> None:
    """Both files are named."""
    problems = _problems(**{CERT: good.client_cert, KEY: good.server_key})
    assert "key of another certificate" in problems[KEY]
    assert str(good.server_key) in problems[KEY]
    assert str(good.client_cert) in problems[KEY]


def test_a_passphrase(good: Certificates, tmp_path: Path) -> None:
    """Nobody is asked for it: that it is there is the problem, wherever the key stands."""
    locked = _with_passphrase(good.client_key, tmp_path / "locked.pem")
    assert "passphrase" in _problems(**{CERT: good.client_cert, KEY: locked})[KEY]
    both = tmp_path / "both.pem"
    both.write_bytes(good.client_cert.read_bytes() + locked.read_bytes())
    assert "passphrase" in _problems(**{CERT: both})[CERT]


def test_files_of_another_kind(good: Certificates, tmp_path: Path) -> None:
    """A key in the place of a certificate and the other way round, one without its key, a broken one."""
    assert "no certificate" in _problems(**{CA: good.client_key})[CA]
    assert "no private key" in _problems(**{CERT: good.client_cert, KEY: good.client_cert})[KEY]
    assert f"set {KEY}" in _problems(**{CERT: good.client_cert})[CERT]
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    assert "cannot be read" in _problems(**{CA: broken})[CA]
    assert "cannot be read" in _problems(**{CERT: broken, KEY: good.client_key})[CERT]


def test_certificates_by_their_other_names(good: Certificates, tmp_path: Path) -> None:
    """As some tools write them."""
    other = tmp_path / "x509.pem"
    other.write_text(good.ca.read_text().replace("CERTIFICATE", "X509 CERTIFICATE"))
    assert _problems(**{CA: other}) == {}


def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe would be waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "no ordinary file" in _problems(**{CA: pipe})[CA]
    assert "no ordinary file" in _problems(**{CA: tmp_path})[CA]


def test_settings_name_an_authority_alone(tmp_path: Path) -> None:
    """Without a certificate of our own too."""
    variables = {"RRQ_REDIS_DSN": "rediss://h", "RRQ_REDIS_TLS_CA_FILE": "gone.pem"}
    with pytest.raises(SettingsError, match=rf"rrq.{CA}: .*No such file.* \(.*RRQ_REDIS_TLS_CA_FILE"):
        load_settings(environ=variables, cwd=tmp_path)


def test_settings_name_them(good: Certificates, tmp_path: Path) -> None:
    """The start ends with the key, the file and the place it was set."""
    locked = _with_passphrase(good.client_key, tmp_path / "locked.pem")
    variables = {
        "RRQ_REDIS_DSN": "rediss://h",
        "RRQ_REDIS_TLS_CERT_FILE": str(good.client_cert),
        "RRQ_REDIS_TLS_KEY_FILE": str(locked),
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(environ=variables, cwd=tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"rrq.{KEY}: {locked} is protected by a passphrase")
    assert "RRQ_REDIS_TLS_KEY_FILE" in problem
