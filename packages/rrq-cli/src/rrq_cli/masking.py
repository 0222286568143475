"""Secrets in values that are shown: in commands, and in parameters of jobs. Pure (RELIABILITY.md S8).

A name decides, for a secret looks like any other text: too much is masked rather than too little.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["MASKED", "masked", "masked_command"]

MASKED: Final = "***"
_looks_secret = re.compile(
    r"token|passw|passphrase|secret|credential|bearer|authorization|dsn"
    r"|(?:api|access|private|auth|signing|encryption)[-_.]?key|(?:^|[-_.])(?:key|pwd|pass|auth)$",
    re.IGNORECASE,
).search
# What names the place of a secret is none.
_names_a_place = re.compile(r"(?:file|path|dir|folder|env|name|type|url)$", re.IGNORECASE).search
_assigned = re.compile(r"(-*[A-Za-z_][\w.-]*)(=)(\S+)|(?<!\S)(--?[A-Za-z_][\w.-]*)(\s+)(?!--)(\S+)")


def masked(value: Any) -> Any:
    """Return plain data with what stands under a name such as ``api_key`` masked, in lists and tables below
    too, and passwords in addresses.
    """
    if isinstance(value, Mapping):
        return {
            key: MASKED if _is_secret(str(key)) and member not in (None, "") else masked(member)
            for key, member in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(member) for member in value]
    return _without_password(value) if isinstance(value, str) else value


def masked_command(words: Sequence[str]) -> list[str]:
    """Return a command with the values of options such as ``--token`` masked: in the next word, behind
    ``=``, and in a line for a shell.
    """
    shown: list[str] = []
    secret_follows = False
    for word in words:
        if secret_follows and not word.startswith("--"):
            shown.append(MASKED)
            secret_follows = False
            continue
        secret_follows = word.startswith("-") and "=" not in word and " " not in word and _is_secret(word)
        name, equals, _ = word.partition("=")
        if equals and " " not in name and _is_secret(name):
            shown.append(f"{name}={MASKED}")
        else:
            shown.append(_without_password(_assigned.sub(_hidden, word)))
    return shown


def _hidden(found: re.Match[str]) -> str:
    name, between = found[1] or found[4], found[2] or found[5]
    return f"{name}{between}{MASKED}" if _is_secret(name) else found[0]


def _is_secret(name: str) -> bool:
    return _looks_secret(name) is not None and _names_a_place(name) is None


def _without_password(text: str) -> str:
    from rrq_protocol.settings import mask_url

    try:
        has_one = "://" in text and "@" in text and urlsplit(text).scheme != ""
    except ValueError:
        has_one = True
    return mask_url(text) if has_one else text
