"""Rules for names that become parts of Redis keys or choose a handler (RELIABILITY.md S24).

Names are checked once, where they enter. A full Redis key is never accepted in place of a name, so a producer
cannot aim a write at a foreign key.
"""

import re

from rrq_protocol.errors import InvalidName

MAX_FUNCTION_NAME_CHARS = 256

_QUEUE_RULE = "1 to 128 characters out of A-Z a-z 0-9 . _ -"
_JOB_ID_RULE = "1 to 128 characters out of A-Z a-z 0-9 . _ : -"
_FUNCTION_RULE = f"1 to {MAX_FUNCTION_NAME_CHARS} printable characters, not only spaces"
_PREFIX_RULE = "'handler' or 'runner#handler', neither part empty"

_is_queue_name = re.compile(r"[A-Za-z0-9._-]{1,128}").fullmatch
_is_job_id = re.compile(r"[A-Za-z0-9._:-]{1,128}").fullmatch


def validate_queue_name(name: object) -> str:
    """Return ``name`` if it is a valid queue name.

    Raises:
        InvalidName: It has other characters than letters, digits, ``.``, ``_``, ``-``, or not 1 to 128 of
            them.
    """
    if not isinstance(name, str) or _is_queue_name(name) is None:
        raise InvalidName("queue", name, _QUEUE_RULE)
    return name


def validate_job_id(job_id: object) -> str:
    """Return ``job_id`` if it is a valid job id.

    Raises:
        InvalidName: It has other characters than letters, digits, ``.``, ``_``, ``:``, ``-``, or not 1 to 128
            of them.
    """
    if not isinstance(job_id, str) or _is_job_id(job_id) is None:
        raise InvalidName("job id", job_id, _JOB_ID_RULE)
    return job_id


def validate_function_name(name: object) -> str:
    """Return ``name`` if it may name a handler, with or without a ``runner#`` prefix.

    Raises:
        InvalidName: It is empty, longer than 256 characters, only spaces, or holds a control character, a
            lone surrogate or another unprintable character; or its prefix is malformed.
    """
    runner, handler = split_function_name(name)
    return handler if runner is None else f"{runner}#{handler}"


def split_function_name(name: object) -> tuple[str | None, str]:
    """Split ``"runner#handler"`` at its first ``#``.

    Returns:
        The runner's name, or None where there is no prefix, and the handler's name.

    Raises:
        InvalidName: See :func:`validate_function_name`.
    """
    if (
        not isinstance(name, str)
        or len(name) > MAX_FUNCTION_NAME_CHARS
        or not name.isprintable()
        or not name.strip()
    ):
        raise InvalidName("function", name, _FUNCTION_RULE)
    runner, separator, handler = name.partition("#")
    if not separator:
        return None, name
    if not handler.strip() or not runner:
        raise InvalidName("function", name, _PREFIX_RULE)
    if _is_queue_name(runner) is None:
        raise InvalidName("runner", runner, _QUEUE_RULE)
    return runner, handler
