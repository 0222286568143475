"""Whether the files of TLS can be used, without a connection (RELIABILITY.md S20)."""

import errno
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

__all__ = ["CERTIFICATES", "certificate_problems"]

_CA: Final = "redis_tls_ca_file"
_CERT: Final = "redis_tls_cert_file"
_KEY: Final = "redis_tls_key_file"
CERTIFICATES: Final = (_CA, _CERT, _KEY)
_MAX_PEM_BYTES: Final = 4 * 1024 * 1024
_KEY_MARK: Final = b"PRIVATE KEY-----"
_a_certificate = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----").search
_LOCKED: Final = "is protected by a passphrase, which nobody could type; store the key without one"


def certificate_problems(files: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield the key and the problem of each file that TLS could not use.

    Args:
        files: The paths by key, for those of :data:`CERTIFICATES` that are set.
    """
    texts: dict[str, bytes] = {}
    for key, path in files.items():
        try:
            if not path.is_file():
                path.stat()  # says why, where nothing is there
                raise OSError(errno.EINVAL, "it is no ordinary file")
            with path.open("rb") as file:
                texts[key] = file.read(_MAX_PEM_BYTES)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            yield key, f"{path} cannot be read: {reason}"
        else:
            if problem := _content_problem(key, texts[key]):
                yield key, f"{path} {problem}"
                del texts[key]
    if _CA in texts:
        yield from _authority_problems(files[_CA])
    # A key that is broken is told above; a certificate without a key file has its key behind it.
    if _CERT in texts and (_KEY in texts or _KEY not in files):
        yield from _pair_problems(files[_CERT], files.get(_KEY))


def _content_problem(key: str, text: bytes) -> str | None:
    if b"-----BEGIN " not in text:
        return "holds nothing in PEM form"
    if b"ENCRYPTED" in text and _KEY_MARK in text:
        return _LOCKED
    if key == _KEY and _KEY_MARK not in text:
        return "holds no private key"
    if key != _KEY and _a_certificate(text) is None:
        return "holds no certificate"
    return None


def _authority_problems(path: Path) -> Iterator[tuple[str, str]]:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (OSError, ValueError):
        yield _CA, f"{path} holds a certificate that cannot be read"


def _pair_problems(cert: Path, key: Path | None) -> Iterator[tuple[str, str]]:
    import ssl

    try:
        # Never asks a terminal for a passphrase.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None)
        if reason == "KEY_VALUES_MISMATCH":
            yield (
                (_CERT if key is None else _KEY),
                f"{key or cert} is the key of another certificate than {cert}",
            )
        elif key is None and _KEY_MARK not in cert.read_bytes():
            yield _CERT, f"{cert} holds no key: add it there, or set {_KEY}"
        else:
            yield _CERT, f"{cert} and its key cannot be read{f' ({reason})' if reason else ''}"
